"""What a test inspects when an execution has ended, or has come as far as it could.

A result is a view of an `ExecutionRecord`, whoever recorded that. A result knows nothing of gRPC
or of runners, and never changes after it was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from async_durable_execution import ErrorObject

from ..core import model
from ..core.divergence import Divergence
from ..core.fault_places import CrashPoint
from ..core.text import visible
from ..errors import NoResult, OperationNotFound
from .ledger import Ledger, effect
from .operations import (
    ExecutionOperation,
    Operation,
    OperationLookup,
    brief,
    operation_tree,
    optional_timestamp,
    sdk_error,
    shorten,
    timestamp,
)
from .records import ExecutionRecord, FaultFired
from .statuses import InvocationStatus
from .values import deserialize, shown

if TYPE_CHECKING:
    from async_durable_execution import SerDes


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record that the handler logged. `timestamp` is real time, not the execution's time."""

    logger: str
    level: int
    message: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of the handler. `outcome` is SUCCEEDED, FAILED or PENDING as the handler returned,
    ERROR where the invocation itself failed, and empty while the handler runs."""

    request_id: str
    worker_id: str
    pid: int
    start: datetime
    end: datetime | None
    outcome: str
    error: ErrorObject | None
    lines: tuple[model.OutputLine, ...] = field(repr=False)
    output_truncated: bool = False
    #: What the threads and tasks of an invocation that passed its deadline, or the caller's
    #: patience, were doing, twice, with the user's own frames first. Empty where the worker could
    #: not say.
    stacks: tuple[str, ...] = field(default=(), repr=False)
    #: One line on these stacks, which begins with "stuck" (in the same place both times), "slow"
    #: or "unknown"; empty where nobody lost patience.
    verdict: str = ""

    @property
    def duration(self) -> timedelta | None:
        return self.end - self.start if self.end else None

    @property
    def output(self) -> str:
        """All that the invocation printed and logged, in order."""
        return _text(self.lines, *model.OutputStream)

    @property
    def stdout(self) -> str:
        return _text(self.lines, model.OutputStream.STDOUT)

    @property
    def stderr(self) -> str:
        """What the invocation printed to `sys.stderr`, and what reached the descriptors without
        Python."""
        return _text(self.lines, model.OutputStream.STDERR, model.OutputStream.RAW)

    @property
    def logs(self) -> list[LogRecord]:
        return [
            LogRecord(line.logger, line.level, line.text, timestamp(line.time_ms))
            for line in self.lines
            if line.stream is model.OutputStream.LOG
        ]


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """One event of the history. `details` holds what events of its type have, under the service's
    names in snake case: `result`, `error`, `attempt`, `timeout`, ..."""

    event_id: int
    event_type: str
    timestamp: datetime
    id: str | None = None
    name: str | None = None
    parent_id: str | None = None
    sub_type: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def operation_id(self) -> str | None:
        return self.id

    @property
    def event_timestamp(self) -> datetime:
        return self.timestamp

    def __repr__(self) -> str:
        parts = [f"Event {self.event_id} {self.event_type}"]
        parts += [repr(self.name)] if self.name else []
        parts += [f"{name}={_detail(value)}" for name, value in self.details.items()]
        return f"<{', '.join(parts)}>"


def _detail(value: Any) -> str:
    match value:
        case str():
            return shorten(shown(value))
        case ErrorObject():
            return brief(value)
    return str(value)


class DurableFunctionTestResult(OperationLookup):
    """How an execution ended and what the execution did. `print(result)` shows everything."""

    def __init__(self, record: ExecutionRecord) -> None:
        self._record = record
        self.status: InvocationStatus = (
            InvocationStatus.PENDING
            if record.status is model.ExecutionStatus.RUNNING
            else InvocationStatus[record.status.name]
        )
        #: The raw JSON text, as the handler's serializer made it.
        self.result: str | None = record.result
        self.error: ErrorObject | None = sdk_error(record.error)
        self.execution_arn: str = record.execution_arn
        self.execution_name: str = record.execution_name
        self.function_name: str = record.function_name
        #: The times on the execution's own clock, which skips.
        self.start_timestamp: datetime = timestamp(record.start_ms)
        self.end_timestamp: datetime | None = optional_timestamp(record.end_ms)
        #: What an execution that has not ended waits for, in words.
        self.waiting_for: str = record.waiting_for
        #: The planned faults that fired, in order, and the texts of the faults that never did.
        self.faults: list[FaultFired] = list(record.faults)
        self.unfired_faults: list[str] = list(record.unfired_faults)
        #: The moments at which a crash could have struck; recorded where there is a fault plan, and
        #: by crash exploration.
        self.crash_points: list[CrashPoint] = list(record.points)

    @cached_property
    def _tree(self) -> tuple[ExecutionOperation | None, list[Operation]]:
        return operation_tree(self._record.operations)

    @property
    def operations(self) -> list[Operation]:
        """The top-level operations, in the order in which they were started."""
        return self._tree[1]

    @cached_property
    def invocations(self) -> list[Invocation]:
        return [
            Invocation(
                request_id=each.request_id,
                worker_id=each.worker_id,
                pid=each.pid,
                start=timestamp(each.start_ms),
                end=optional_timestamp(each.end_ms),
                outcome=each.outcome,
                error=sdk_error(each.error),
                lines=each.output,
                output_truncated=each.output_truncated,
                stacks=each.stacks,
                verdict=each.verdict,
            )
            for each in self._record.invocations
        ]

    @cached_property
    def history(self) -> list[Event]:
        return [_event(each) for each in self._record.events]

    @cached_property
    def ledger(self) -> Ledger:
        """The side effects of the execution and of all that it invoked in a chain."""
        return Ledger(map(effect, self._record.effects))

    @cached_property
    def divergences(self) -> list[Divergence]:
        """The places where replays asked for other operations than are recorded, each once."""
        found: dict[Divergence, Divergence] = {}
        for invocation in self._record.invocations:
            for each in invocation.divergences:
                found.setdefault(replace(each, invocation=0), each)
        return list(found.values())

    @property
    def duration(self) -> timedelta | None:
        """The time from start to end on the execution's clock; None while the execution runs."""
        return self.end_timestamp - self.start_timestamp if self.end_timestamp else None

    @property
    def input(self) -> str | None:
        """The JSON document that the execution was started with."""
        root = self._tree[0]
        return root.input_payload if root else None

    @property
    def output(self) -> str:
        """All that the handler printed and logged, over all invocations."""
        return "".join(invocation.output for invocation in self.invocations)

    def get_execution(self, name: str | None = None) -> ExecutionOperation:
        """The EXECUTION operation; `OperationNotFound` if `name` is not the execution's."""
        root = self._tree[0]
        if root is None or name not in (None, root.name, self.execution_name):
            raise OperationNotFound(
                f"No execution named {name!r}: this one is {self.execution_name!r}."
            )
        return root

    def get_operation_by_id(self, operation_id: str) -> Operation:
        for operation in self.get_all_operations():
            if operation.operation_id == operation_id:
                return operation
        raise OperationNotFound(f"No operation with the id {operation_id!r} in {self._title}.")

    def get_child_operations(self, operation: Operation) -> list[Operation]:
        """The direct children of an operation; only contexts have any."""
        return list(operation.child_operations)

    def get_deserialized_result(self, serdes: SerDes[Any] | None = None) -> Any:
        """The result as Python data, read by `serdes`, or else by the SDK's default serializer, or
        as plain JSON. `NoResult` if the execution has not succeeded."""
        if self.status is not InvocationStatus.SUCCEEDED:
            raise NoResult(f"The execution has no result, it is {self.status.value}.\n\n{self}")
        return deserialize(self.result, serdes)

    def get_operation_deserialized_result(
        self, operation: Operation, serdes: SerDes[Any] | None = None
    ) -> Any:
        return deserialize(operation.result, serdes)

    def describe(self) -> str:
        """The whole execution as text: operation tree, invocations, errors, output."""
        from .text import describe

        return describe(self)

    @property
    def _children(self) -> Sequence[Operation]:
        return self.operations

    @property
    def _title(self) -> str:
        return f"execution {self.execution_name!r}"

    def __repr__(self) -> str:
        parts = [f"DurableFunctionTestResult {self.status.value} {self.execution_name!r}"]
        parts.append(f"{_count(len(self.get_all_operations()), 'operation')}")
        parts.append(f"{_count(len(self._record.invocations), 'invocation')}")
        if self.result is not None:
            parts.append(f"result={shorten(shown(self.result))}")
        if self.error is not None:
            parts.append(f"error={brief(self.error)}")
        if self.waiting_for:
            parts.append(f"waiting for {shorten(self.waiting_for)}")
        return visible(f"<{', '.join(parts)}>")

    def __str__(self) -> str:
        return self.describe()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _text(lines: Sequence[model.OutputLine], *streams: model.OutputStream) -> str:
    return "".join(f"{line.text}\n" for line in lines if line.stream in streams)


_DURATION_NAMES = {
    model.EventType.EXECUTION_STARTED: "execution_timeout",
}
_PAYLOAD_NAMES = {
    model.EventType.EXECUTION_STARTED: "input",
    model.EventType.CHAINED_INVOKE_STARTED: "input",
}


def _event(source: model.HistoryEvent) -> Event:
    details = {
        _PAYLOAD_NAMES.get(source.type, "result"): source.payload,
        "error": sdk_error(source.error),
        "attempt": source.attempt,
        "next_attempt_delay_seconds": source.next_attempt_delay_seconds,
        _DURATION_NAMES.get(source.type, "duration"): source.duration_seconds,
        "scheduled_end_timestamp": optional_timestamp(source.scheduled_end_ms),
        "callback_id": source.callback_id,
        "timeout": source.timeout_seconds,
        "heartbeat_timeout": source.heartbeat_timeout_seconds,
        "function_name": source.function_name,
        "tenant_id": source.tenant_id,
        "executed_version": source.executed_version,
        "durable_execution_arn": source.execution_arn,
        "request_id": source.request_id,
        "start_timestamp": optional_timestamp(source.start_ms),
        "end_timestamp": optional_timestamp(source.end_ms),
    }
    return Event(
        event_id=source.event_id,
        event_type=source.type.value,
        timestamp=timestamp(source.timestamp_ms),
        id=source.id,
        name=source.name,
        parent_id=source.parent_id,
        sub_type=source.sub_type,
        details={key: value for key, value in details.items() if value is not None},
    )
