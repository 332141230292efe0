"""CALLBACK: the handler starts it, and an outsider's answer or one of two time-outs ends it."""

from __future__ import annotations

from ...errors import CallbackTimeout, InvalidParameterValue
from .. import limits, tokens
from ..model import (
    ErrorObject,
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

_CALLBACK = OperationType.CALLBACK
_STARTED = OperationStatus.STARTED

RULES = [
    Rule(
        _CALLBACK,
        OperationAction.START,
        frozenset({None}),
        _STARTED,
        "Cannot start a CALLBACK that already exist.",
    ),
]
TRIGGERS = [
    Trigger(_CALLBACK, "answered with success", _STARTED, OperationStatus.SUCCEEDED),
    Trigger(_CALLBACK, "answered with failure", _STARTED, OperationStatus.FAILED),
    Trigger(_CALLBACK, "time-out or heartbeat time-out", _STARTED, OperationStatus.TIMED_OUT),
]

_TIMEOUTS = {
    TimerKind.CALLBACK_TIMEOUT: ErrorObject("Callback timed out", "Callback.Timeout"),
    TimerKind.CALLBACK_HEARTBEAT: ErrorObject(
        "Callback timed out on heartbeat", "Callback.Heartbeat"
    ),
}


def validate(update: OperationUpdate) -> None:
    """Check nothing beyond what holds for every type."""


def apply(turn: Turn, update: OperationUpdate, operation: Operation) -> None:
    started = replace(operation, callback_id=tokens.callback_id(turn.execution_arn, operation.id))
    turn.put(started)
    if timeout := update.timeout_seconds:
        turn.set_timer(TimerKind.CALLBACK_TIMEOUT, operation.id, turn.now_ms + timeout * 1000)
    if heartbeat := update.heartbeat_timeout_seconds:
        turn.heartbeats[operation.id] = heartbeat
        turn.set_timer(TimerKind.CALLBACK_HEARTBEAT, operation.id, turn.now_ms + heartbeat * 1000)
    turn.record(
        EventType.CALLBACK_STARTED,
        started,
        callback_id=started.callback_id,
        timeout_seconds=timeout or None,
        heartbeat_timeout_seconds=heartbeat or None,
    )


def check_open(operation: Operation | None) -> Operation:
    """Return the callback if it still waits; raise the service's refusal if it does not."""
    if operation is None or operation.type is not _CALLBACK:
        raise InvalidParameterValue("Invalid callback id.")
    if operation.status is OperationStatus.TIMED_OUT:
        raise CallbackTimeout("Callback has already timed out.")
    if operation.status is not _STARTED:
        raise InvalidParameterValue("Callback has already been completed.")
    return operation


def succeed(turn: Turn, operation: Operation, result: str | None) -> None:
    limits.check_payload(result, turn.limits.callback_result, "CALLBACK result")
    ended = _end(turn, operation, OperationStatus.SUCCEEDED, result=result)
    turn.record(EventType.CALLBACK_SUCCEEDED, ended, payload=result)


def fail(turn: Turn, operation: Operation, error: ErrorObject) -> None:
    turn.limits.check_error(error, "CALLBACK")
    ended = _end(turn, operation, OperationStatus.FAILED, error=error)
    turn.record(EventType.CALLBACK_FAILED, ended, error=error)


def heartbeat(turn: Turn, operation: Operation, seconds: int) -> None:
    turn.set_timer(TimerKind.CALLBACK_HEARTBEAT, operation.id, turn.now_ms + seconds * 1000)


def timed_out(turn: Turn, operation: Operation, kind: TimerKind) -> None:
    error = _TIMEOUTS[kind]
    ended = _end(turn, operation, OperationStatus.TIMED_OUT, error=error)
    turn.record(EventType.CALLBACK_TIMED_OUT, ended, error=error)


def _end(
    turn: Turn,
    operation: Operation,
    status: OperationStatus,
    result: str | None = None,
    error: ErrorObject | None = None,
) -> Operation:
    ended = replace(operation, status=status, end_ms=turn.now_ms, result=result, error=error)
    turn.put(ended)
    turn.clear_timer(TimerKind.CALLBACK_TIMEOUT, operation.id)
    turn.clear_timer(TimerKind.CALLBACK_HEARTBEAT, operation.id)
    return ended
