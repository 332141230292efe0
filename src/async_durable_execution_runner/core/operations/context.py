"""CONTEXT: a child context starts, and closes with a result or an error."""

from __future__ import annotations

from ..model import (
    EventType,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from ..record import replace
from ..turn import Turn
from .rules import Rule, Trigger

_CONTEXT = OperationType.CONTEXT
_OPEN = frozenset({None, OperationStatus.STARTED})
_CLOSE = "Invalid current CONTEXT state to close."

RULES = [
    Rule(
        _CONTEXT,
        OperationAction.START,
        frozenset({None}),
        OperationStatus.STARTED,
        "Cannot start a CONTEXT that already exist.",
    ),
    Rule(_CONTEXT, OperationAction.SUCCEED, _OPEN, OperationStatus.SUCCEEDED, _CLOSE),
    Rule(_CONTEXT, OperationAction.FAIL, _OPEN, OperationStatus.FAILED, _CLOSE),
]
TRIGGERS: list[Trigger] = []


def validate(update: OperationUpdate) -> None:
    """Check nothing beyond what holds for every type."""


def apply(turn: Turn, update: OperationUpdate, operation: Operation) -> None:
    match update.action:
        case OperationAction.START:
            turn.put(operation)
            turn.record(EventType.CONTEXT_STARTED, operation)
        case OperationAction.SUCCEED:
            closed = replace(
                operation,
                status=OperationStatus.SUCCEEDED,
                end_ms=turn.now_ms,
                result=update.payload,
                replay_children=bool(update.replay_children),
            )
            turn.put(closed)
            turn.record(EventType.CONTEXT_SUCCEEDED, closed, payload=update.payload)
        case _:
            closed = replace(
                operation,
                status=OperationStatus.FAILED,
                end_ms=turn.now_ms,
                error=update.error,
                replay_children=bool(update.replay_children),
            )
            turn.put(closed)
            turn.record(EventType.CONTEXT_FAILED, closed, error=update.error)
