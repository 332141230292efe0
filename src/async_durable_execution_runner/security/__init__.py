"""Who may call the coordinator, and how our processes keep secret what they call it with."""
