"""The place where the earlier package had its web server."""
