"""Where the earlier package had its web server."""
