"""What an execution has left, as a test reads it."""
