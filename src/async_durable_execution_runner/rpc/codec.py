"""The codec between protobuf messages and `core.model`, both ways, field by field.

The hot path is `update_from_proto` and `operation_to_proto`, which run once per update and per
changed operation of every checkpoint. Optional scalar fields are set only where they
have a value, so that absence survives the trip.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ..core.divergence import Divergence, DivergenceKind, Identity, Source
from ..core.model import (
    Effect,
    ErrorObject,
    EventType,
    ExecutionStatus,
    HistoryEvent,
    Isolation,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    OutputLine,
    OutputStream,
)
from ..errors import InvalidParameterValue, ServiceError
from .v1 import model_pb2 as pb
from .v1 import worker_pb2

_T = TypeVar("_T")

# The members stand by number, as protoc numbered them; index 0 is UNSPECIFIED. The values are `Any`
# because the generated stubs want their own enum types where the messages take numbers.
_ISOLATIONS: list[Isolation | None] = [None, *Isolation]
_TYPES: list[OperationType | None] = [None, *OperationType]
_STATUSES: list[OperationStatus | None] = [None, *OperationStatus]
_ACTIONS: list[OperationAction | None] = [None, *OperationAction]
_EXECUTION_STATUSES: list[ExecutionStatus | None] = [None, *ExecutionStatus]
_STREAMS: list[OutputStream | None] = [None, *OutputStream]
_ISOLATION_NUMBERS: dict[Isolation, Any] = {m: n for n, m in enumerate(_ISOLATIONS) if m}
_TYPE_NUMBERS: dict[OperationType, Any] = {
    member: number for number, member in enumerate(_TYPES) if member
}
_STATUS_NUMBERS: dict[OperationStatus, Any] = {
    member: number for number, member in enumerate(_STATUSES) if member
}
_ACTION_NUMBERS: dict[OperationAction, Any] = {
    member: number for number, member in enumerate(_ACTIONS) if member
}
_EXECUTION_STATUS_NUMBERS: dict[ExecutionStatus, Any] = {
    m: n for n, m in enumerate(_EXECUTION_STATUSES) if m
}
_STREAM_NUMBERS: dict[OutputStream, Any] = {
    member: number for number, member in enumerate(_STREAMS) if member
}
_DIVERGENCE_KINDS: list[DivergenceKind | None] = [None, *DivergenceKind]
_DIVERGENCE_KIND_NUMBERS: dict[DivergenceKind, Any] = {
    member: number for number, member in enumerate(_DIVERGENCE_KINDS) if member
}
_EVENT_TYPES = {member.value: member for member in EventType}
_EVENT_NAMES = {member: member.value for member in EventType}


class _Names(dict[FieldDescriptor, str]):
    """The names of fields. A descriptor makes the name anew each time that it is asked."""

    def __missing__(self, field: FieldDescriptor) -> str:
        name = self[field] = field.name
        return name


_names = _Names()


def _values(message: Message) -> dict[str, Any]:
    """Return the values that are set in a message, by field name."""
    return {_names[field]: value for field, value in message.ListFields()}


def extend(field: Any, encode: Callable[[_T, Any], object], values: Iterable[_T]) -> None:
    """Append `values` to a repeated field.

    Args:
        field: The repeated field.
        encode: Encodes a value as a message that its second argument makes, so that no message is
            copied.
        values: The values of the model.
    """
    add = field.add
    for value in values:
        encode(value, add)


def _known(members: list[_T | None], number: int, refusal: str) -> _T:
    member = members[number] if 0 <= number < len(members) else None
    if member is None:
        raise InvalidParameterValue(refusal)
    return member


def error_to_proto(error: ErrorObject) -> pb.ErrorObject:
    return pb.ErrorObject(
        message=error.message,
        type=error.type,
        data=error.data,
        stack_trace=error.stack_trace or (),
    )


def error_from_proto(message: pb.ErrorObject) -> ErrorObject:
    return ErrorObject(
        message=message.message if message.HasField("message") else None,
        type=message.type if message.HasField("type") else None,
        data=message.data if message.HasField("data") else None,
        stack_trace=tuple(message.stack_trace) or None,
    )


def update_to_proto(update: OperationUpdate) -> pb.OperationUpdate:
    replay_children: Any = update.replay_children
    return pb.OperationUpdate(
        id=update.id,
        type=_TYPE_NUMBERS[update.type],
        action=_ACTION_NUMBERS[update.action],
        parent_id=update.parent_id,
        name=update.name,
        sub_type=update.sub_type,
        payload=update.payload,
        error=error_to_proto(update.error) if update.error is not None else None,
        replay_children=replay_children,
        next_attempt_delay_seconds=update.next_attempt_delay_seconds,
        wait_seconds=update.wait_seconds,
        timeout_seconds=update.timeout_seconds,
        heartbeat_timeout_seconds=update.heartbeat_timeout_seconds,
        function_name=update.function_name,
        tenant_id=update.tenant_id,
    )


def update_from_proto(message: pb.OperationUpdate) -> OperationUpdate:
    """Return the update; raise `InvalidParameterValue` for an unknown type or action."""
    has = message.HasField
    # A text that is there needs no look whether it is, and is less dear than that.
    return OperationUpdate(
        message.id,
        _known(_TYPES, message.type, "Unknown operation type."),
        _known(_ACTIONS, message.action, "Invalid action for the given operation type."),
        message.parent_id or ("" if has("parent_id") else None),
        message.name or ("" if has("name") else None),
        message.sub_type or ("" if has("sub_type") else None),
        message.payload or ("" if has("payload") else None),
        error_from_proto(message.error) if has("error") else None,
        message.replay_children if has("replay_children") else None,
        message.next_attempt_delay_seconds if has("next_attempt_delay_seconds") else None,
        message.wait_seconds if has("wait_seconds") else None,
        message.timeout_seconds if has("timeout_seconds") else None,
        message.heartbeat_timeout_seconds if has("heartbeat_timeout_seconds") else None,
        message.function_name if has("function_name") else None,
        message.tenant_id if has("tenant_id") else None,
    )


def operation_to_proto(
    operation: Operation, new: Callable[..., pb.Operation] = pb.Operation
) -> pb.Operation:
    made = new(
        id=operation.id,
        type=_TYPE_NUMBERS[operation.type],
        status=_STATUS_NUMBERS[operation.status],
        parent_id=operation.parent_id,
        name=operation.name,
        sub_type=operation.sub_type,
        start_ms=operation.start_ms,
        end_ms=operation.end_ms,
        result=operation.result,
        attempt=operation.attempt,
    )
    # Few operations have any of these.
    if operation.input is not None:
        made.input = operation.input
    if operation.error is not None:
        made.error.CopyFrom(error_to_proto(operation.error))
    if operation.replay_children:
        made.replay_children = True
    if operation.next_attempt_ms is not None:
        made.next_attempt_ms = operation.next_attempt_ms
    if operation.scheduled_end_ms is not None:
        made.scheduled_end_ms = operation.scheduled_end_ms
    if operation.callback_id is not None:
        made.callback_id = operation.callback_id
    return made


def operation_from_proto(message: pb.Operation) -> Operation:
    values = _values(message)
    values["type"] = _known(_TYPES, message.type, "Unknown operation type.")
    values["status"] = _known(_STATUSES, message.status, "Unknown operation status.")
    values.setdefault("id", "")
    values.setdefault("start_ms", 0)
    if "error" in values:
        values["error"] = error_from_proto(message.error)
    return Operation(**values)


def event_to_proto(
    event: HistoryEvent, new: Callable[..., pb.HistoryEvent] = pb.HistoryEvent
) -> pb.HistoryEvent:
    return new(
        event_id=event.event_id,
        type=_EVENT_NAMES[event.type],
        timestamp_ms=event.timestamp_ms,
        id=event.id,
        parent_id=event.parent_id,
        name=event.name,
        sub_type=event.sub_type,
        payload=event.payload,
        error=error_to_proto(event.error) if event.error is not None else None,
        attempt=event.attempt,
        next_attempt_delay_seconds=event.next_attempt_delay_seconds,
        duration_seconds=event.duration_seconds,
        scheduled_end_ms=event.scheduled_end_ms,
        callback_id=event.callback_id,
        timeout_seconds=event.timeout_seconds,
        heartbeat_timeout_seconds=event.heartbeat_timeout_seconds,
        function_name=event.function_name,
        tenant_id=event.tenant_id,
        executed_version=event.executed_version,
        execution_arn=event.execution_arn,
        request_id=event.request_id,
        start_ms=event.start_ms,
        end_ms=event.end_ms,
    )


def event_from_proto(message: pb.HistoryEvent) -> HistoryEvent:
    values = _values(message)
    if message.type not in _EVENT_TYPES:
        raise InvalidParameterValue("Unknown event type.")
    values["type"] = _EVENT_TYPES[message.type]
    values.setdefault("event_id", 0)
    values.setdefault("timestamp_ms", 0)
    if "error" in values:
        values["error"] = error_from_proto(message.error)
    return HistoryEvent(**values)


def line_to_proto(line: OutputLine) -> pb.OutputLine:
    return pb.OutputLine(
        stream=_STREAM_NUMBERS[line.stream],
        text=line.text,
        logger=line.logger,
        level=line.level,
        time_ms=line.time_ms,
        attributes=line.attributes,
    )


def line_from_proto(message: pb.OutputLine) -> OutputLine:
    return OutputLine(
        stream=_known(_STREAMS, message.stream, "Unknown output stream."),
        text=message.text,
        logger=message.logger,
        level=message.level,
        time_ms=message.time_ms,
        attributes=message.attributes,
    )


def recorded_effect_from_proto(message: worker_pb2.RecordEffectRequest) -> Effect:
    """Return the effect that a worker recorded; raise `InvalidParameterValue` where its key or data
    is not JSON."""
    values = _values(message)
    values.setdefault("request_id", "")
    if not message.name:
        raise InvalidParameterValue("An effect needs a name.")
    try:
        data = json.loads(message.data)
        if message.HasField("key"):
            json.loads(message.key)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise InvalidParameterValue("An effect's data must be a JSON object, its key JSON.")
    return Effect(**values)


def effect_to_proto(effect: Effect, new: Callable[..., pb.Effect] = pb.Effect) -> pb.Effect:
    error = effect.invocation_error
    return new(
        name=effect.name,
        key=effect.key,
        data=effect.data,
        execution_arn=effect.execution_arn,
        function_name=effect.function_name,
        request_id=effect.request_id,
        invocation=effect.invocation,
        time_ms=effect.time_ms,
        operation_id=effect.operation_id,
        operation_name=effect.operation_name,
        attempt=effect.attempt,
        outside_step=effect.outside_step,
        stale=effect.stale,
        invocation_error=error_to_proto(error) if error is not None else None,
    )


def effect_from_proto(message: pb.Effect) -> Effect:
    values = _values(message)
    for required in ("request_id", "name", "data"):
        values.setdefault(required, "")
    if "invocation_error" in values:
        values["invocation_error"] = error_from_proto(message.invocation_error)
    return Effect(**values)


def sources_to_proto(distinct: Iterable[Source], numbers: Iterable[int]) -> pb.Sources:
    return pb.Sources(distinct=[pb.Source(**each._asdict()) for each in distinct], numbers=numbers)


def sources_from_proto(message: pb.Sources, count: int) -> Iterator[Source]:
    """Return the source of each of `count` operations."""
    distinct = [Source(), *map(source_from_proto, message.distinct)]
    return (distinct[number] for number in message.numbers or [0] * count)


def source_from_proto(message: pb.Source) -> Source:
    return Source(message.line, message.in_task)


def divergence_to_proto(divergence: Divergence) -> pb.Divergence:
    replayed = divergence.replayed
    return pb.Divergence(
        kind=_DIVERGENCE_KIND_NUMBERS[divergence.kind],
        operation_id=divergence.operation_id,
        recorded=pb.Identity(**divergence.recorded._asdict()),
        replayed=pb.Identity(**replayed._asdict()) if replayed is not None else None,
    )


def divergence_from_proto(message: pb.Divergence, invocation: int = 0) -> Divergence:
    """Return the divergence. The receiver gives the number of the invocation, which does not
    travel."""
    return Divergence(
        _known(_DIVERGENCE_KINDS, message.kind, "Unknown kind of divergence."),
        message.operation_id,
        _identity(message.recorded),
        _identity(message.replayed) if message.HasField("replayed") else None,
        invocation,
    )


def _identity(message: pb.Identity) -> Identity:
    return Identity(
        type=message.type,
        sub_type=message.sub_type,
        name=message.name if message.HasField("name") else None,
        parent_id=message.parent_id if message.HasField("parent_id") else None,
        source=message.source,
        parent_name=message.parent_name,
    )


def isolation_to_proto(isolation: Isolation) -> Any:
    return _ISOLATION_NUMBERS[isolation]


def isolation_from_proto(number: int) -> Isolation:
    return _known(_ISOLATIONS, number, "Unknown isolation.")


def execution_status_to_proto(status: ExecutionStatus) -> Any:
    return _EXECUTION_STATUS_NUMBERS[status]


def execution_status_from_proto(number: int) -> ExecutionStatus:
    return _known(_EXECUTION_STATUSES, number, "Unknown execution status.")


def service_error_to_proto(error: ServiceError) -> pb.ServiceError:
    return pb.ServiceError(code=error.code, message=error.message, http_status=error.http_status)
