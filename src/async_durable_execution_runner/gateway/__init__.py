"""The AWS-compatible HTTP API, on the same core as everything else."""
