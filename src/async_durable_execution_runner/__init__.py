"""Run AWS Lambda durable functions in a pool of worker processes."""
