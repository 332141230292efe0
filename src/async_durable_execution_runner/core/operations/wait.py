"""WAIT: a timer that ends by itself, or is cancelled."""

from __future__ import annotations

from ...errors import InvalidParameterValue
from ..model import (
    EventType,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from ..record import replace
from ..turn import TimerKind, Turn
from .rules import Rule, Trigger

_WAIT = OperationType.WAIT

RULES = [
    Rule(
        _WAIT,
        OperationAction.START,
        frozenset({None}),
        OperationStatus.STARTED,
        "Cannot start a WAIT that already exist.",
    ),
    Rule(
        _WAIT,
        OperationAction.CANCEL,
        frozenset({OperationStatus.STARTED}),
        OperationStatus.CANCELLED,
        "Cannot cancel a WAIT that does not exist or has already completed.",
    ),
]
TRIGGERS = [Trigger(_WAIT, "its time has come", OperationStatus.STARTED, OperationStatus.SUCCEEDED)]


def validate(update: OperationUpdate) -> None:
    if update.action is OperationAction.START and update.wait_seconds is None:
        raise InvalidParameterValue("Invalid WaitOptions for the given action.")


def apply(turn: Turn, update: OperationUpdate, operation: Operation) -> None:
    if update.action is OperationAction.START:
        due = turn.now_ms + (update.wait_seconds or 0) * 1000
        started = replace(operation, scheduled_end_ms=due)
        turn.put(started)
        turn.set_timer(TimerKind.WAIT, operation.id, due)
        turn.record(
            EventType.WAIT_STARTED,
            started,
            duration_seconds=update.wait_seconds,
            scheduled_end_ms=due,
        )
        return
    cancelled = replace(operation, status=OperationStatus.CANCELLED, end_ms=turn.now_ms)
    turn.put(cancelled)
    turn.clear_timer(TimerKind.WAIT, operation.id)
    turn.record(EventType.WAIT_CANCELLED, cancelled, error=update.error)


def due(turn: Turn, operation: Operation) -> None:
    ended = replace(operation, status=OperationStatus.SUCCEEDED, end_ms=turn.now_ms)
    turn.put(ended)
    seconds = ((operation.scheduled_end_ms or turn.now_ms) - operation.start_ms) // 1000
    turn.record(EventType.WAIT_SUCCEEDED, ended, duration_seconds=seconds)
