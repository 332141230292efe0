"""`Turn`: one turn of an execution, in which everything changes together or not at all.

Operations are immutable, so a turn is an overlay over the execution's state. A batch
that is refused half-way is dropped by dropping the turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from .commands import Command
from .events import ChainedTarget
from .limits import Limits
from .model import ErrorObject, EventType, ExecutionStatus, HistoryEvent, Operation


class TimerKind(Enum):
    """The purpose of a timer. Timers of one instant fire in the order in which they were set."""

    __hash__ = object.__hash__

    EXECUTION_TIMEOUT = "execution time-out"
    CALLBACK_TIMEOUT = "callback time-out"
    CALLBACK_HEARTBEAT = "callback heartbeat time-out"
    WAIT = "wait"
    STEP_RETRY = "step retry"
    INVOCATION_RETRY = "invocation retry"


class Timer(NamedTuple):
    kind: TimerKind
    operation_id: str


class Ending(NamedTuple):
    """How an execution is to end."""

    status: ExecutionStatus
    result: str | None = None
    error: ErrorObject | None = None


class Turn:
    """The view that the operation modules have of an execution; it takes their changes."""

    __slots__ = (
        "_first_event_id",
        "_operations",
        "commands",
        "ending",
        "events",
        "execution_arn",
        "heartbeats",
        "limits",
        "now_ms",
        "operations",
        "targets",
        "timers",
    )

    def __init__(
        self,
        now_ms: int,
        execution_arn: str,
        operations: Mapping[str, Operation],
        first_event_id: int,
        targets: Mapping[str, ChainedTarget | ErrorObject],
        limits: Limits,
    ) -> None:
        """Begin a turn on top of `operations`.

        Args:
            now_ms: The time of the turn, in Unix milliseconds on the execution's clock.
            execution_arn: The execution.
            operations: The operations before the turn, by id.
            first_event_id: The id of the first event that the turn records.
            targets: What the chained invokes of the turn name, by operation id.
            limits: The sizes that the execution takes.
        """
        self.now_ms = now_ms
        self.execution_arn = execution_arn
        self._operations = operations
        self._first_event_id = first_event_id
        self.targets = targets
        self.limits = limits
        #: The changed operations by id.
        self.operations: dict[str, Operation] = {}
        self.events: list[HistoryEvent] = []
        self.commands: list[Command] = []
        #: Set where the handler closed the execution itself.
        self.ending: Ending | None = None
        #: The timers that the turn set, with the due time in ms, and cleared, with None.
        self.timers: dict[Timer, int | None] = {}
        #: Heartbeat time-outs in seconds, by operation id.
        self.heartbeats: dict[str, int] = {}

    def get(self, operation_id: str) -> Operation | None:
        return self.operations.get(operation_id) or self._operations.get(operation_id)

    def put(self, operation: Operation) -> None:
        self.operations[operation.id] = operation

    def record(self, type: EventType, operation: Operation | None = None, **details: Any) -> None:
        """Append an event; `details` are fields of `HistoryEvent`."""
        event_id = self._first_event_id + len(self.events)
        if operation is not None:
            of = (operation.id, operation.parent_id, operation.name, operation.sub_type)
            event = HistoryEvent(event_id, type, self.now_ms, *of, **details)
        else:
            event = HistoryEvent(event_id, type, self.now_ms, **details)
        self.events.append(event)

    def set_timer(self, kind: TimerKind, operation_id: str, due_ms: int) -> None:
        self.timers[Timer(kind, operation_id)] = due_ms

    def clear_timer(self, kind: TimerKind, operation_id: str) -> None:
        self.timers[Timer(kind, operation_id)] = None
