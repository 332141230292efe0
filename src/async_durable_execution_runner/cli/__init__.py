"""The commands `durable-runner` and `dex-local-runner`."""
