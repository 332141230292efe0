"""The data of a durable execution: operations, updates, errors, history events.

Structures are flat: a field is meaningful where the operation's (or event's) type
has it in the service's model, and `None` elsewhere. Times are Unix milliseconds on
the execution's own clock. Operations are immutable; a change makes a new one.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .record import record


class _Named(Enum):
    """An enum whose members are hashed by identity, as they are looked up on every checkpoint."""

    __hash__ = object.__hash__


class OperationType(_Named):
    EXECUTION = "EXECUTION"
    CONTEXT = "CONTEXT"
    STEP = "STEP"
    WAIT = "WAIT"
    CALLBACK = "CALLBACK"
    CHAINED_INVOKE = "CHAINED_INVOKE"


class OperationStatus(_Named):
    STARTED = "STARTED"
    PENDING = "PENDING"
    READY = "READY"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"

    @property
    def is_terminal(self) -> bool:
        return self not in _OPEN


_OPEN = frozenset({OperationStatus.STARTED, OperationStatus.PENDING, OperationStatus.READY})


class OperationAction(_Named):
    START = "START"
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    RETRY = "RETRY"
    CANCEL = "CANCEL"


class ExecutionStatus(_Named):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"


class EventType(_Named):
    """The service's names of history events."""

    EXECUTION_STARTED = "ExecutionStarted"
    EXECUTION_SUCCEEDED = "ExecutionSucceeded"
    EXECUTION_FAILED = "ExecutionFailed"
    EXECUTION_TIMED_OUT = "ExecutionTimedOut"
    EXECUTION_STOPPED = "ExecutionStopped"
    CONTEXT_STARTED = "ContextStarted"
    CONTEXT_SUCCEEDED = "ContextSucceeded"
    CONTEXT_FAILED = "ContextFailed"
    WAIT_STARTED = "WaitStarted"
    WAIT_SUCCEEDED = "WaitSucceeded"
    WAIT_CANCELLED = "WaitCancelled"
    STEP_STARTED = "StepStarted"
    STEP_SUCCEEDED = "StepSucceeded"
    STEP_FAILED = "StepFailed"
    CHAINED_INVOKE_STARTED = "ChainedInvokeStarted"
    CHAINED_INVOKE_SUCCEEDED = "ChainedInvokeSucceeded"
    CHAINED_INVOKE_FAILED = "ChainedInvokeFailed"
    CHAINED_INVOKE_TIMED_OUT = "ChainedInvokeTimedOut"
    CHAINED_INVOKE_STOPPED = "ChainedInvokeStopped"
    CALLBACK_STARTED = "CallbackStarted"
    CALLBACK_SUCCEEDED = "CallbackSucceeded"
    CALLBACK_FAILED = "CallbackFailed"
    CALLBACK_TIMED_OUT = "CallbackTimedOut"
    INVOCATION_COMPLETED = "InvocationCompleted"


@record
class ErrorObject:
    message: str | None = None
    type: str | None = None
    data: str | None = None
    stack_trace: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """The number of bytes of text in the error."""
        texts = (self.message, self.type, self.data, *(self.stack_trace or ()))
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if text)


@record
class Operation:
    """One durable operation as the service reports it.

    Only an EXECUTION has `input`, only a STEP `attempt` and `next_attempt_ms`, only a WAIT
    `scheduled_end_ms`, only a CALLBACK `callback_id`, and only a CONTEXT `replay_children`. Every
    operation but a WAIT can have `result` and `error`.
    """

    id: str
    type: OperationType
    status: OperationStatus
    start_ms: int
    end_ms: int | None = None
    parent_id: str | None = None
    name: str | None = None
    sub_type: str | None = None
    input: str | None = None
    result: str | None = None
    error: ErrorObject | None = None
    replay_children: bool = False
    attempt: int = 0
    next_attempt_ms: int | None = None
    scheduled_end_ms: int | None = None
    callback_id: str | None = None


class Place(NamedTuple):
    """The region and the account in the ARNs of a runner's functions."""

    region: str = "us-east-1"
    account: str = "123456789012"

    def arn(self, function_name: str) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{function_name}"


DEFAULT_PLACE = Place()


@record
class OperationUpdate:
    """One update of a checkpoint, as the handler sent it. Durations are in seconds."""

    id: str
    type: OperationType
    action: OperationAction
    parent_id: str | None = None
    name: str | None = None
    sub_type: str | None = None
    payload: str | None = None
    error: ErrorObject | None = None
    replay_children: bool | None = None
    next_attempt_delay_seconds: int | None = None
    wait_seconds: int | None = None
    timeout_seconds: int | None = None
    heartbeat_timeout_seconds: int | None = None
    function_name: str | None = None
    tenant_id: str | None = None


@record
class HistoryEvent:
    """One line of an execution's history.

    `payload` is the input or the result, by the event's type. `duration_seconds` is a
    wait's length, or the time-out of the execution in `ExecutionStarted`.
    """

    event_id: int
    type: EventType
    timestamp_ms: int
    id: str | None = None
    parent_id: str | None = None
    name: str | None = None
    sub_type: str | None = None
    payload: str | None = None
    error: ErrorObject | None = None
    attempt: int | None = None
    next_attempt_delay_seconds: int | None = None
    duration_seconds: int | None = None
    scheduled_end_ms: int | None = None
    callback_id: str | None = None
    timeout_seconds: int | None = None
    heartbeat_timeout_seconds: int | None = None
    function_name: str | None = None
    tenant_id: str | None = None
    executed_version: str | None = None
    execution_arn: str | None = None
    request_id: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None


class Isolation(Enum):
    """How far invocations are kept apart from each other and from the test."""

    #: Invocations run in warm worker processes, of which each serves any invocation.
    WORKER = "worker"
    #: Each execution has a fresh process.
    EXECUTION = "execution"
    #: Each invocation has a fresh process: every invocation is a cold start.
    INVOCATION = "invocation"
    #: Invocations run on a thread of the test process: for a debugger, `monkeypatch`, closures.
    INLINE = "inline"


class OutputStream(Enum):
    RAW = "raw"
    STDOUT = "stdout"
    STDERR = "stderr"
    LOG = "log"


@record
class OutputLine:
    """A line that a handler printed or logged.

    Only logged lines have `logger`, `level` and `attributes`, which is a JSON object with what else
    the record had.
    """

    stream: OutputStream
    text: str
    logger: str = ""
    level: int = 0
    time_ms: int = 0
    attributes: str = ""


@record
class Effect:
    """A side effect that a handler recorded; `key` is a JSON value and `data` a JSON object.

    The worker says the first fields, and the coordinator adds those from `execution_arn` on.
    `invocation` counts the invocations of the execution from 1. `stale` says that the effect came
    when its invocation had ended or been cut off.
    """

    request_id: str
    name: str
    data: str
    key: str | None = None
    operation_id: str | None = None
    operation_name: str | None = None
    attempt: int | None = None
    outside_step: bool = False
    execution_arn: str = ""
    function_name: str = ""
    invocation: int = 0
    time_ms: int = 0
    stale: bool = False
    invocation_error: ErrorObject | None = None
