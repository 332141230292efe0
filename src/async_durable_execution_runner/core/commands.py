"""The commands: everything that an execution may ask of the executor."""

from __future__ import annotations

from .model import ExecutionStatus, Operation
from .record import record


@record
class Invoke:
    """Lease an invocation to a worker as soon as one is free."""


@record
class Deliver:
    """Give the invocation that has just started a token and the first page of the state.

    `updated` has the ids of the operations that have changed since an invocation was last told.
    """

    token: str
    operations: list[Operation]
    next_marker: str
    updated: list[str]


@record
class Reply:
    """Answer a checkpoint. There is no token where the batch ended the execution."""

    token: str | None
    operations: list[Operation]
    next_marker: str = ""


@record
class InvokeFunction:
    """Carry out a chained invoke, whose end comes back as `ChainedInvokeEnded`."""

    operation_id: str
    function_name: str
    payload: str
    tenant_id: str | None


@record
class Finish:
    """Take note that the execution has ended. Only the end of a running invocation may follow."""

    status: ExecutionStatus


Command = Invoke | Deliver | Reply | InvokeFunction | Finish
