"""`durable-runner serve`: functions that a file describes, behind Lambda's own API."""
