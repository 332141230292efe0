"""Days on which everything goes wrong, with real processes: a clear error, or recovery."""
