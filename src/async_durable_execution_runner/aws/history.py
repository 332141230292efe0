"""The service's history of an execution, read back: events as the core has them, and from them
the operations as they stand.

Pure. It takes what boto3 returns as well as the JSON
that the AWS CLI prints. Two things are not in a history: whether a context keeps its children for
replay, and payloads that the service has truncated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..core import shapes
from ..core.model import (
    EventType,
    HistoryEvent,
    Operation,
    OperationStatus,
    OperationType,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT_TYPES = {type.value for type in EventType}
#: The end of an event's name, and how its operation then stands.
_STATUSES = {
    "Started": OperationStatus.STARTED,
    "Succeeded": OperationStatus.SUCCEEDED,
    "Failed": OperationStatus.FAILED,
    "TimedOut": OperationStatus.TIMED_OUT,
    "Stopped": OperationStatus.STOPPED,
    "Cancelled": OperationStatus.CANCELLED,
}
_OPERATIONS = {
    "Execution": OperationType.EXECUTION,
    "Context": OperationType.CONTEXT,
    "Step": OperationType.STEP,
    "Wait": OperationType.WAIT,
    "Callback": OperationType.CALLBACK,
    "ChainedInvoke": OperationType.CHAINED_INVOKE,
}
#: What an event says of its operation.
_MEANING = {
    type: (_OPERATIONS[kind], status)
    for type in EventType
    for ending, status in _STATUSES.items()
    if (kind := type.value.removesuffix(ending)) in _OPERATIONS
}
#: The events that end an execution.
ENDS = frozenset(
    type
    for type, (kind, status) in _MEANING.items()
    if kind is OperationType.EXECUTION and status.is_terminal
)


def milliseconds(value: Any) -> int:
    """Of a datetime (boto3), ISO text or Unix seconds (the AWS CLI)."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return round((value - _EPOCH) / timedelta(milliseconds=1))
    return shapes.milliseconds(value)


def read_events(events: Iterable[Mapping[str, Any]]) -> list[HistoryEvent]:
    """Types of events that are newer than this release are left out."""
    return [
        shapes.EVENT.from_json(each, milliseconds)
        for each in events
        if each["EventType"] in _EVENT_TYPES
    ]


def operations(events: Iterable[HistoryEvent]) -> list[Operation]:
    """As they stood at the last of the events, in the order in which they were started."""
    found: dict[str, Operation] = {}
    now_ms = 0
    for event in events:
        now_ms = max(now_ms, event.timestamp_ms)
        if event.type in _MEANING and event.id is not None:
            found[event.id] = _after(event, found.get(event.id))
    return [_due(operation, now_ms) for operation in found.values()]


def _after(event: HistoryEvent, before: Operation | None) -> Operation:
    type, status = _MEANING[event.type]
    now = event.timestamp_ms
    if before is None:
        before = Operation(
            event.id or "",
            type,
            status,
            start_ms=now,
            parent_id=event.parent_id,
            name=event.name,
            sub_type=event.sub_type,
            input=event.payload if type is OperationType.EXECUTION else None,
            scheduled_end_ms=event.scheduled_end_ms,
            callback_id=event.callback_id,
        )
    if status is OperationStatus.STARTED:
        # What the last attempt left behind stays until there is another outcome.
        return replace(before, status=status, next_attempt_ms=None)
    if type is OperationType.STEP:
        attempt = before.attempt + 1 if event.attempt is None else event.attempt
        before = replace(before, attempt=attempt, next_attempt_ms=None)
        if delay := event.next_attempt_delay_seconds:
            # A success with another attempt to come is a condition that is not met yet.
            return replace(
                before,
                status=OperationStatus.PENDING,
                next_attempt_ms=now + delay * 1000,
                result=before.result if event.payload is None else event.payload,
                error=event.error,
            )
    # The error of a cancelled wait is of its event alone.
    error = None if type is OperationType.WAIT else event.error
    return replace(before, status=status, end_ms=now, result=event.payload, error=error)


def _due(operation: Operation, now_ms: int) -> Operation:
    """No event tells that a next attempt has fallen due."""
    due = operation.next_attempt_ms
    if due is None or due > now_ms:
        return operation
    return replace(operation, status=OperationStatus.READY)


def waiting_for(operations: Iterable[Operation]) -> str:
    """What an execution that has not ended waits for, in words."""
    known = {operation.id: operation for operation in operations}
    parts = [_open(each, known) for each in known.values() if not each.status.is_terminal]
    return "; ".join(filter(None, parts)) or "its next invocation, or the one that is running"


def _open(operation: Operation, known: Mapping[str, Operation]) -> str:
    label = f" {operation.name!r}" if operation.name else ""
    match operation.type:
        case OperationType.CALLBACK:
            parent = known.get(operation.parent_id or "")
            if not label and parent is not None and parent.name:
                label = f" of {parent.name!r}"
            return f"callback{label}, unanswered (callback id {operation.callback_id})"
        case OperationType.WAIT:
            return f"wait{label} until {_time(operation.scheduled_end_ms)}"
        case OperationType.STEP if operation.status is OperationStatus.STARTED:
            return f"step{label}, which has begun"
        case OperationType.STEP:
            return f"the next attempt of step{label} at {_time(operation.next_attempt_ms)}"
        case OperationType.CHAINED_INVOKE:
            return f"the chained invoke{label}"
        case _:
            return ""


def _time(ms: int | None) -> str:
    return f"{_EPOCH + timedelta(milliseconds=ms or 0):%Y-%m-%d %H:%M:%S UTC}"
