"""STEP: it starts, succeeds, fails, or is retried after a delay."""

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

_STEP = OperationType.STEP
_READY_TO_START = frozenset({None, OperationStatus.READY})
_READY_TO_CLOSE = frozenset({None, OperationStatus.STARTED, OperationStatus.READY})
_CLOSE = "Invalid current STEP state to close."

RULES = [
    Rule(
        _STEP,
        OperationAction.START,
        _READY_TO_START,
        OperationStatus.STARTED,
        "Invalid current STEP state to start.",
    ),
    Rule(_STEP, OperationAction.SUCCEED, _READY_TO_CLOSE, OperationStatus.SUCCEEDED, _CLOSE),
    Rule(_STEP, OperationAction.FAIL, _READY_TO_CLOSE, OperationStatus.FAILED, _CLOSE),
    Rule(
        _STEP,
        OperationAction.RETRY,
        _READY_TO_CLOSE,
        OperationStatus.PENDING,
        "Invalid current STEP state to re-attempt.",
    ),
]
TRIGGERS = [
    Trigger(_STEP, "next attempt is due", OperationStatus.PENDING, OperationStatus.READY),
]


def validate(update: OperationUpdate) -> None:
    retry = update.action is OperationAction.RETRY
    delay = update.next_attempt_delay_seconds
    if retry:
        if delay is None:
            raise InvalidParameterValue("Invalid StepOptions for the given action.")
        if update.error is not None and update.payload is not None:
            raise InvalidParameterValue("Cannot provide both error and payload to RETRY a STEP.")
    elif delay is not None:
        raise InvalidParameterValue("Invalid StepOptions for the given action.")


def apply(turn: Turn, update: OperationUpdate, operation: Operation) -> None:
    now = turn.now_ms
    match update.action:
        case OperationAction.START:
            started = operation
            if operation.status is not OperationStatus.STARTED:
                started = replace(operation, status=OperationStatus.STARTED, next_attempt_ms=None)
            turn.put(started)
            turn.record(EventType.STEP_STARTED, started)
            return
        case OperationAction.RETRY:
            delay = update.next_attempt_delay_seconds or 0
            changed = replace(
                operation,
                status=OperationStatus.PENDING,
                attempt=operation.attempt + 1,
                next_attempt_ms=now + delay * 1000,
                result=operation.result if update.payload is None else update.payload,
                error=update.error,
            )
            turn.set_timer(TimerKind.STEP_RETRY, operation.id, now + delay * 1000)
            # A retry without an error is that of a condition that was checked and not yet met.
            succeeded = update.error is None
        case OperationAction.SUCCEED:
            changed = replace(
                operation,
                status=OperationStatus.SUCCEEDED,
                attempt=operation.attempt + 1,
                next_attempt_ms=None,
                end_ms=now,
                result=update.payload,
                error=None,
            )
            succeeded = True
        case _:
            changed = replace(
                operation,
                status=OperationStatus.FAILED,
                attempt=operation.attempt + 1,
                next_attempt_ms=None,
                end_ms=now,
                result=None,
                error=update.error,
            )
            succeeded = False
    turn.put(changed)
    turn.record(
        EventType.STEP_SUCCEEDED if succeeded else EventType.STEP_FAILED,
        changed,
        payload=update.payload,
        error=update.error,
        attempt=changed.attempt,
        next_attempt_delay_seconds=update.next_attempt_delay_seconds,
    )


def retry_due(turn: Turn, operation: Operation) -> None:
    turn.put(replace(operation, status=OperationStatus.READY))
