"""Everything that an execution may ask of the executor."""

from __future__ import annotations

from .model import ExecutionStatus, Operation
from .record import record


@record
class Invoke:
    """Lease an invocation to a worker as soon as one is free."""


@record
class Deliver:
    """What the invocation that just started is given: a token and the first page of state.

    `updated`: ids of what has changed since an invocation was last told.
    """

    token: str
    operations: list[Operation]
    next_marker: str
    updated: list[str]


@record
class Reply:
    """The answer to a checkpoint. No token where the batch ended the execution."""

    token: str | None
    operations: list[Operation]
    next_marker: str = ""


@record
class InvokeFunction:
    """Carry out a chained invoke; its end comes back as `ChainedInvokeEnded`."""

    operation_id: str
    function_name: str
    payload: str
    tenant_id: str | None


@record
class Finish:
    """The execution ended; nothing but the end of a running invocation follows."""

    status: ExecutionStatus


Command = Invoke | Deliver | Reply | InvokeFunction | Finish
