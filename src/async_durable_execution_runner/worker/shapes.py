"""Messages as plain dicts, with the members that the Lambda API has for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..rpc.v1 import model_pb2, worker_pb2

_DETAILS = {
    model_pb2.OPERATION_TYPE_EXECUTION: "ExecutionDetails",
    model_pb2.OPERATION_TYPE_CONTEXT: "ContextDetails",
    model_pb2.OPERATION_TYPE_STEP: "StepDetails",
    model_pb2.OPERATION_TYPE_WAIT: "WaitDetails",
    model_pb2.OPERATION_TYPE_CALLBACK: "CallbackDetails",
    model_pb2.OPERATION_TYPE_CHAINED_INVOKE: "ChainedInvokeDetails",
}


def event(invocation: worker_pb2.Invocation) -> dict[str, Any]:
    """What Lambda sends to a durable function, with the state in it and times in milliseconds."""
    return {
        "DurableExecutionArn": invocation.execution_arn,
        "CheckpointToken": invocation.checkpoint_token,
        "InitialExecutionState": {
            "Operations": [
                operation(each, lambda milliseconds: milliseconds) for each in invocation.operations
            ],
            "NextMarker": invocation.next_marker,
        },
        "UpdatedOperationIds": list(invocation.updated_operation_ids),
    }


def operation(message: model_pb2.Operation, time: Callable[[int], Any]) -> dict[str, Any]:
    """In the API's shape; `time` makes what stands for a time out of milliseconds."""
    has = message.HasField
    shape = {
        "Id": message.id,
        "Type": model_pb2.OperationType.Name(message.type).removeprefix("OPERATION_TYPE_"),
        "Status": model_pb2.OperationStatus.Name(message.status).removeprefix("OPERATION_STATUS_"),
        "StartTimestamp": time(message.start_ms),
        **dict(_given(message, ParentId="parent_id", Name="name", SubType="sub_type")),
    }
    if has("end_ms"):
        shape["EndTimestamp"] = time(message.end_ms)
    details = dict(_given(message, InputPayload="input", Result="result", CallbackId="callback_id"))
    if has("error"):
        details["Error"] = {
            **dict(
                _given(message.error, ErrorMessage="message", ErrorType="type", ErrorData="data")
            ),
            **(
                {"StackTrace": list(message.error.stack_trace)} if message.error.stack_trace else {}
            ),
        }
    if message.type == model_pb2.OPERATION_TYPE_STEP:
        details["Attempt"] = message.attempt
    if has("next_attempt_ms"):
        details["NextAttemptTimestamp"] = time(message.next_attempt_ms)
    if has("scheduled_end_ms"):
        details["ScheduledEndTimestamp"] = time(message.scheduled_end_ms)
    if message.replay_children:
        details["ReplayChildren"] = True
    if message.type in _DETAILS:
        shape[_DETAILS[message.type]] = details
    return shape


def _given(message: Any, **fields: str) -> Iterator[tuple[str, Any]]:
    return (
        (name, getattr(message, field)) for name, field in fields.items() if message.HasField(field)
    )
