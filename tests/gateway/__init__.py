"""The AWS-compatible HTTP API."""
