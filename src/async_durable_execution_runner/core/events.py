"""The events: everything that can happen to an execution. Each brings its own time and ids.

Times are Unix milliseconds on the execution's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from .model import ErrorObject, OperationStatus, OperationUpdate
from .record import record


@record
class Started:
    """The execution begins, with `payload` as its input."""

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
    """The handler returned an invocation output."""

    now_ms: int
    request_id: str
    outcome: Outcome
    result: str | None = None
    error: ErrorObject | None = None

    @property
    def contradiction(self) -> str:
        """Why this is not a valid output, in the service's words; empty where it is valid."""
        if self.outcome is Outcome.SUCCEEDED and self.error is not None:
            return "Cannot provide an Error for SUCCEEDED status."
        if self.outcome is Outcome.FAILED and self.result is not None:
            return "Cannot provide a Result for FAILED status."
        return ""


@record
class InvocationFailed:
    """The invocation itself failed: the handler raised, its worker died, or its deadline passed.

    `final` says that the handler returned something that is not an invocation output, so that there
    is no further attempt.
    """

    now_ms: int
    request_id: str
    error: ErrorObject
    final: bool = False


@record
class ChainedTarget:
    """The function that a CHAINED_INVOKE resolved to; a plain one has no `execution_arn`."""

    version: str
    execution_arn: str | None = None


@record
class Checkpoint:
    """The handler sent a checkpoint.

    `targets` says by operation id what each CHAINED_INVOKE START names; it is an error where there
    is no such function.
    """

    now_ms: int
    token: str
    updates: tuple[OperationUpdate, ...]
    client_token: str | None = None
    targets: Mapping[str, ChainedTarget | ErrorObject] = field(default_factory=dict)


@record
class TimePassed:
    """The clock stands at `now_ms`, so that all timers that are due fire in order."""

    now_ms: int


@record
class CallbackSucceeded:
    """An outsider answered a callback with a result."""

    now_ms: int
    callback_id: str
    result: str | None = None


@record
class CallbackFailed:
    """An outsider answered a callback with an error."""

    now_ms: int
    callback_id: str
    error: ErrorObject


@record
class CallbackHeartbeat:
    """An outsider said that the answer to a callback is still to come."""

    now_ms: int
    callback_id: str


@record
class ChainedInvokeEnded:
    """A function that the execution invoked in a chain has ended."""

    now_ms: int
    operation_id: str
    status: OperationStatus
    result: str | None = None
    error: ErrorObject | None = None


@record
class Stopped:
    """Somebody stopped the execution."""

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
