"""The process that supervises the workers of one machine: worker host and forkserver."""
