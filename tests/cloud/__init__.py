"""The runner for functions that are deployed."""
