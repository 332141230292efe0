"""The core's data as plain dicts, with the members of the Lambda service model.

Timestamps are Unix seconds with milliseconds (floats), which is how the service's JSON has
them and what botocore's parser takes. A member without a value is left out. Pure: it knows
neither HTTP nor botocore.
"""

from __future__ import annotations

from typing import Any

from ..core.model import ErrorObject, EventType, HistoryEvent, Operation, OperationType

Shape = dict[str, Any]

_DETAILS = {
    OperationType.EXECUTION: "ExecutionDetails",
    OperationType.CONTEXT: "ContextDetails",
    OperationType.STEP: "StepDetails",
    OperationType.WAIT: "WaitDetails",
    OperationType.CALLBACK: "CallbackDetails",
    OperationType.CHAINED_INVOKE: "ChainedInvokeDetails",
}

#: Where the model demands a result, or an error, whether there is one or not.
_WITH_RESULT = {type for type in EventType if type.value.endswith("Succeeded")}
_WITH_ERROR = {
    type for type in EventType if type.value.endswith(("Failed", "TimedOut", "Stopped"))
} - {EventType.EXECUTION_TIMED_OUT}


def timestamp(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def error_object(error: ErrorObject | None) -> Shape | None:
    """`ErrorObject`, or None for none."""
    if error is None:
        return None
    trace = error.stack_trace
    return _present(
        ErrorMessage=error.message,
        ErrorType=error.type,
        ErrorData=error.data,
        StackTrace=None if trace is None else list(trace),
    )


def operation(operation: Operation) -> Shape:
    """`Operation`, as a checkpoint's answer and a page of the state have it."""
    shape = _present(
        Id=operation.id,
        ParentId=operation.parent_id,
        Name=operation.name,
        Type=operation.type.value,
        SubType=operation.sub_type,
        StartTimestamp=timestamp(operation.start_ms),
        EndTimestamp=timestamp(operation.end_ms),
        Status=operation.status.value,
    )
    shape[_DETAILS[operation.type]] = _operation_details(operation)
    return shape


def _operation_details(operation: Operation) -> Shape:
    outcome = _present(Result=operation.result, Error=error_object(operation.error))
    match operation.type:
        case OperationType.EXECUTION:
            # Its outcome is told by GetDurableExecution alone.
            return _present(InputPayload=operation.input)
        case OperationType.CONTEXT:
            return _present(ReplayChildren=operation.replay_children or None) | outcome
        case OperationType.STEP:
            attempt = timestamp(operation.next_attempt_ms)
            return _present(Attempt=operation.attempt, NextAttemptTimestamp=attempt) | outcome
        case OperationType.WAIT:
            return _present(ScheduledEndTimestamp=timestamp(operation.scheduled_end_ms))
        case OperationType.CALLBACK:
            return _present(CallbackId=operation.callback_id) | outcome
        case OperationType.CHAINED_INVOKE:
            return outcome


def history_event(event: HistoryEvent, include_execution_data: bool) -> Shape:
    """`Event`. Without execution data, inputs, results and errors are marked as truncated."""
    shape = _present(
        EventType=event.type.value,
        SubType=event.sub_type,
        EventId=event.event_id,
        Id=event.id,
        Name=event.name,
        EventTimestamp=timestamp(event.timestamp_ms),
        ParentId=event.parent_id,
    )
    shape[f"{event.type.value}Details"] = _event_details(event, include_execution_data)
    return shape


def _event_details(event: HistoryEvent, data: bool) -> Shape:
    match event.type:
        case EventType.EXECUTION_STARTED:
            return _present(
                Input=_held(event.payload, data), ExecutionTimeout=event.duration_seconds
            )
        case EventType.WAIT_STARTED:
            end = timestamp(event.scheduled_end_ms)
            return _present(Duration=event.duration_seconds, ScheduledEndTimestamp=end)
        case EventType.WAIT_SUCCEEDED:
            return _present(Duration=event.duration_seconds)
        case EventType.CHAINED_INVOKE_STARTED:
            return _present(
                FunctionName=event.function_name,
                TenantId=event.tenant_id,
                Input=None if event.payload is None else _held(event.payload, data),
                ExecutedVersion=event.executed_version,
                DurableExecutionArn=event.execution_arn,
            )
        case EventType.CALLBACK_STARTED:
            return _present(
                CallbackId=event.callback_id,
                HeartbeatTimeout=event.heartbeat_timeout_seconds,
                Timeout=event.timeout_seconds,
            )
        case EventType.INVOCATION_COMPLETED:
            error = error_object(event.error)
            return _present(
                StartTimestamp=timestamp(event.start_ms),
                EndTimestamp=timestamp(event.end_ms),
                RequestId=event.request_id,
                Error=None if error is None else _held(error, data),
            )
        case _:
            return _outcome(event, data)


def _outcome(event: HistoryEvent, data: bool) -> Shape:
    details: Shape = {}
    if event.type in _WITH_RESULT:
        details["Result"] = _held(event.payload, data)
    elif event.type in _WITH_ERROR or event.error is not None:
        details["Error"] = _held(error_object(event.error), data)
    if event.attempt is not None:
        details["RetryDetails"] = _present(
            CurrentAttempt=event.attempt, NextAttemptDelaySeconds=event.next_attempt_delay_seconds
        )
    return details


def _held(payload: object, data: bool) -> Shape:
    """`EventInput`, `EventResult` or `EventError`, which are alike."""
    if payload is None or data:
        return _present(Payload=payload, Truncated=False)
    return {"Truncated": True}


def _present(**members: Any) -> Shape:
    return {name: value for name, value in members.items() if value is not None}
