"""EXECUTION: the root operation. A handler closes it by a checkpoint where the result is large.

The execution ends with the invocation all the same, as the service records both in this order.
"""

from __future__ import annotations

from ..commands import Finish
from ..model import (
    EventType,
    ExecutionStatus,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from ..record import replace
from ..turn import Ending, Turn
from .rules import Rule, Trigger

_EXECUTION = OperationType.EXECUTION
_STARTED = OperationStatus.STARTED
_RUNNING = frozenset({_STARTED})
_CLOSE = "Invalid current EXECUTION state to close."

RULES = [
    Rule(_EXECUTION, OperationAction.SUCCEED, _RUNNING, OperationStatus.SUCCEEDED, _CLOSE),
    Rule(_EXECUTION, OperationAction.FAIL, _RUNNING, OperationStatus.FAILED, _CLOSE),
]
TRIGGERS = [
    Trigger(_EXECUTION, "the handler returned a result", _STARTED, OperationStatus.SUCCEEDED),
    Trigger(_EXECUTION, "the handler failed for good", _STARTED, OperationStatus.FAILED),
    Trigger(_EXECUTION, "its time-out passed", _STARTED, OperationStatus.TIMED_OUT),
    Trigger(_EXECUTION, "it was stopped", _STARTED, OperationStatus.STOPPED),
]
_ENDED = {
    ExecutionStatus.SUCCEEDED: (OperationStatus.SUCCEEDED, EventType.EXECUTION_SUCCEEDED),
    ExecutionStatus.FAILED: (OperationStatus.FAILED, EventType.EXECUTION_FAILED),
    ExecutionStatus.TIMED_OUT: (OperationStatus.TIMED_OUT, EventType.EXECUTION_TIMED_OUT),
    ExecutionStatus.STOPPED: (OperationStatus.STOPPED, EventType.EXECUTION_STOPPED),
}


def validate(update: OperationUpdate) -> None:
    """Check nothing beyond what holds for every type."""


def apply(turn: Turn, update: OperationUpdate, operation: Operation) -> None:
    if update.action is OperationAction.SUCCEED:
        turn.ending = Ending(ExecutionStatus.SUCCEEDED, result=update.payload)
    else:
        turn.ending = Ending(ExecutionStatus.FAILED, error=update.error)


def end(turn: Turn, operation: Operation, ending: Ending) -> None:
    """End the execution: every execution ends here, whoever ends it."""
    status, result, error = ending
    operation_status, event_type = _ENDED[status]
    ended = replace(
        operation, status=operation_status, end_ms=turn.now_ms, result=result, error=error
    )
    turn.put(ended)
    turn.record(event_type, ended, payload=result, error=error)
    turn.commands.append(Finish(status))
