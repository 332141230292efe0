"""Everything that can happen to an execution. Each event brings its own time and ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from .model import ErrorObject, OperationStatus, OperationUpdate
from .record import record


@record
class Started:
    """The execution begins. `execution_id` is the last part of its ARN."""

    now_ms: int
    payload: str


@record
class InvocationStarted:
    """A worker was given the lease. `seed` makes this invocation's tokens unguessable."""

    now_ms: int
    request_id: str
    seed: str


class Outcome(Enum):
    """The `Status` that a handler's invocation output may have."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PENDING = "PENDING"


@record
class InvocationReturned:
    now_ms: int
    request_id: str
    outcome: Outcome
    result: str | None = None
    error: ErrorObject | None = None

    @property
    def contradiction(self) -> str:
        """Why this is no output, in the service's words; empty where it is one."""
        if self.outcome is Outcome.SUCCEEDED and self.error is not None:
            return "Cannot provide an Error for SUCCEEDED status."
        if self.outcome is Outcome.FAILED and self.result is not None:
            return "Cannot provide a Result for FAILED status."
        return ""


@record
class InvocationFailed:
    """The invocation itself failed: it raised, its worker died, its deadline passed.

    `final`: what it returned is no invocation output, so no other is tried.
    """

    now_ms: int
    request_id: str
    error: ErrorObject
    final: bool = False


@record
class ChainedTarget:
    """What a CHAINED_INVOKE resolved to; no `execution_arn` where it is a plain function."""

    version: str
    execution_arn: str | None = None


@record
class Checkpoint:
    """`targets`: what each CHAINED_INVOKE START names, by operation id; an error where nothing."""

    now_ms: int
    token: str
    updates: tuple[OperationUpdate, ...]
    client_token: str | None = None
    targets: Mapping[str, ChainedTarget | ErrorObject] = field(default_factory=dict)


@record
class TimePassed:
    """The clock stands at `now_ms`: whatever is due fires, in order."""

    now_ms: int


@record
class CallbackSucceeded:
    now_ms: int
    callback_id: str
    result: str | None = None


@record
class CallbackFailed:
    now_ms: int
    callback_id: str
    error: ErrorObject


@record
class CallbackHeartbeat:
    now_ms: int
    callback_id: str


@record
class ChainedInvokeEnded:
    now_ms: int
    operation_id: str
    status: OperationStatus
    result: str | None = None
    error: ErrorObject | None = None


@record
class Stopped:
    now_ms: int
    error: ErrorObject


Event = (
    Started
    | InvocationStarted
    | InvocationReturned
    | InvocationFailed
    | Checkpoint
    | TimePassed
    | CallbackSucceeded
    | CallbackFailed
    | CallbackHeartbeat
    | ChainedInvokeEnded
    | Stopped
)
