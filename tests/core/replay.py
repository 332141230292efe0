"""State rebuilt from nothing but history: the test's own reading of what events mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from async_durable_execution_runner.core.model import (
    EventType,
    HistoryEvent,
    Operation,
    OperationStatus,
    OperationType,
)

_ENDINGS = {
    "Succeeded": OperationStatus.SUCCEEDED,
    "Failed": OperationStatus.FAILED,
    "TimedOut": OperationStatus.TIMED_OUT,
    "Stopped": OperationStatus.STOPPED,
    "Cancelled": OperationStatus.CANCELLED,
}
_TYPES = {
    "Execution": OperationType.EXECUTION,
    "Context": OperationType.CONTEXT,
    "Wait": OperationType.WAIT,
    "Step": OperationType.STEP,
    "ChainedInvoke": OperationType.CHAINED_INVOKE,
    "Callback": OperationType.CALLBACK,
}


def rebuild(history: Iterable[HistoryEvent]) -> dict[str, Operation]:
    """All operations. Exact where ended, but for `replay_children`, which events do not carry.

    That a step became READY is in no event either: it stays PENDING here.
    """
    operations: dict[str, Operation] = {}
    for event in history:
        if event.type is EventType.INVOCATION_COMPLETED:
            continue
        assert event.id is not None
        operation = operations.get(event.id) or _new(event)
        operations[event.id] = _after(event, operation)
    return operations


def _new(event: HistoryEvent) -> Operation:
    kind = next(kind for kind in _TYPES if event.type.value.startswith(kind))
    return Operation(
        id=event.id or "",
        type=_TYPES[kind],
        status=OperationStatus.STARTED,
        start_ms=event.timestamp_ms,
        parent_id=event.parent_id,
        name=event.name,
        sub_type=event.sub_type,
    )


def _after(event: HistoryEvent, operation: Operation) -> Operation:
    started = event.type.value.endswith("Started")
    if started and operation.type is OperationType.STEP:
        return replace(operation, status=OperationStatus.STARTED, next_attempt_ms=None)
    if started:
        return replace(
            operation,
            input=event.payload if operation.type is OperationType.EXECUTION else None,
            scheduled_end_ms=event.scheduled_end_ms,
            callback_id=event.callback_id,
        )
    attempt = event.attempt or 0
    if event.next_attempt_delay_seconds is not None:
        due = event.timestamp_ms + event.next_attempt_delay_seconds * 1000
        return replace(
            operation,
            status=OperationStatus.PENDING,
            attempt=attempt,
            next_attempt_ms=due,
            result=operation.result if event.payload is None else event.payload,
            error=event.error,
        )
    return replace(
        operation,
        status=next(s for ending, s in _ENDINGS.items() if event.type.value.endswith(ending)),
        attempt=attempt,
        next_attempt_ms=None,
        end_ms=event.timestamp_ms,
        result=event.payload,
        error=event.error if operation.type is not OperationType.WAIT else None,
    )
