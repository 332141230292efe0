"""The published requirements of the service, as AWS's conformance suite words them."""
