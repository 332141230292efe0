"""The process that supervises the workers of one machine: worker host and forkserver."""

#: What a supervised host says on standard output when the coordinator has taken it.
JOINED = "joined"
