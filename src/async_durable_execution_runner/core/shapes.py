"""The map between the model and Lambda's JSON, in both directions.

A table for each shape says which member of the service's model is which field, so that writing
and reading cannot drift apart. A member without a value is left out, unless the service's model
demands the member.

A time is Unix milliseconds in the model. In JSON the caller chooses: a time is Unix seconds with
milliseconds (HTTP), milliseconds (the event of an invocation), or a datetime (boto3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

from .model import (
    ErrorObject,
    EventType,
    HistoryEvent,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from .text import utf8

Json = dict[str, Any]
T = TypeVar("T")


def seconds(milliseconds: int) -> float:
    """Return a time of the model as the service's JSON has it over HTTP."""
    return milliseconds / 1000


def milliseconds(seconds: float) -> int:
    """Return a time in Unix seconds as the model has it."""
    return round(float(seconds) * 1000)


class _Form(NamedTuple):
    """How a value is written and read; both functions are also given the function for times."""

    write: Callable[[Any, Callable[[int], Any]], Any] = lambda value, _: value
    read: Callable[[Any, Callable[[Any], int]], Any] = lambda value, _: value
    #: Whether the member is written even where there is no value.
    always: bool = False


_PLAIN = _Form()


class _Member(NamedTuple):
    #: The names of the structures that the member is in, outermost first.
    path: tuple[str, ...]
    name: str
    field: str
    form: _Form


#: The members by name: a field of the model, a field and its form, or a structure of members.
Table = Mapping[str, Any]


def _members(table: Table, *path: str) -> Iterator[_Member]:
    for name, entry in table.items():
        match entry:
            case str():
                yield _Member(path, name, entry, _PLAIN)
            case (field, form):
                yield _Member(path, name, field, form)
            case _:
                yield from _members(entry, *path, name)


class JsonShape(Generic[T]):
    """A shape of the service, and the model's class for the shape."""

    def __init__(
        self, kind: type[T], table: Table, details: Mapping[Any, Table] | None = None
    ) -> None:
        """Make the shape of a class of the model.

        Args:
            kind: The model's class.
            table: The members of the shape.
            details: The members of one more structure, by the type of the record. The type gives
                the structure its name.
        """
        self._kind = kind
        self._members = tuple(_members(table))
        self._type = next(each for each in self._members if each.field == "type")
        self._details = {}
        for type, more in (details or {}).items():
            name = f"{type.name.title().replace('_', '')}Details"
            self._details[type] = name, (*self._members, *_members(more, name))

    def to_json(self, record: T, time: Callable[[int], Any] = seconds) -> Json:
        """Return `record` as JSON; `time` converts a time from Unix milliseconds."""
        shape: Json = {}
        members = self._members
        if self._details:
            name, members = self._details[record.type]  # type: ignore[attr-defined]
            shape[name] = {}
        for path, name, field, form in members:
            value = getattr(record, field)
            if value is None and not form.always:
                continue
            written = form.write(value, time)
            if written is not None:
                structure = shape
                for each in path:
                    structure = structure.setdefault(each, {})
                structure[name] = written
        return shape

    def from_json(self, shape: Mapping[str, Any], time: Callable[[Any], int] = milliseconds) -> T:
        """Return the record of a JSON shape; `time` converts a time to Unix milliseconds.

        Members that a record of this type does not have are passed over.
        """
        members = self._members
        if self._details:
            _, members = self._details[self._type.form.read(shape[self._type.name], time)]
        values = {}
        for path, name, field, form in members:
            structure = shape
            for each in path:
                structure = structure.get(each) or {}
            value = structure.get(name)
            if value is not None:
                values[field] = form.read(value, time)
        return self._kind(**values)


def _enum(kind: type[Enum]) -> _Form:
    return _Form(lambda value, _: value.value, lambda value, _: kind(value))


def _held(form: _Form, always: bool = False) -> _Form:
    """Return the form of `EventInput`, `EventResult` and `EventError`, which are alike."""

    def write(value: Any, time: Callable[[int], Any]) -> Json:
        if value is None:
            return {"Truncated": False}
        return {"Payload": form.write(value, time), "Truncated": False}

    def read(value: Json, time: Callable[[Any], int]) -> Any:
        payload = value.get("Payload")
        return None if payload is None else form.read(payload, time)

    return _Form(write, read, always)


_TIME = _Form(lambda value, time: time(value), lambda value, time: time(value))
#: A flag, which is left out where it is false.
_FLAG = _Form(lambda value, _: value or None)
#: The text of an exception, which may hold what UTF-8 cannot carry. In a handler's own JSON it may
#: be any value.
_TEXT = _Form(read=lambda value, _: utf8(str(value)))
_LINES = _Form(
    lambda value, _: list(value),
    lambda value, _: (
        tuple(utf8(str(line)) for line in value) if isinstance(value, list | tuple) else None
    ),
)

ERROR = JsonShape(
    ErrorObject,
    {
        "ErrorMessage": ("message", _TEXT),
        "ErrorType": ("type", _TEXT),
        "ErrorData": ("data", _TEXT),
        "StackTrace": ("stack_trace", _LINES),
    },
)

_ERROR = _Form(lambda value, _: ERROR.to_json(value), lambda value, _: ERROR.from_json(value))
_OPERATION_TYPE = _enum(OperationType)
_OUTCOME = {"Result": "result", "Error": ("error", _ERROR)}

OPERATION = JsonShape(
    Operation,
    {
        "Id": "id",
        "ParentId": "parent_id",
        "Name": "name",
        "Type": ("type", _OPERATION_TYPE),
        "SubType": "sub_type",
        "StartTimestamp": ("start_ms", _TIME),
        "EndTimestamp": ("end_ms", _TIME),
        "Status": ("status", _enum(OperationStatus)),
    },
    {
        # The outcome of an execution is told by GetDurableExecution alone.
        OperationType.EXECUTION: {"InputPayload": "input"},
        OperationType.CONTEXT: {"ReplayChildren": ("replay_children", _FLAG), **_OUTCOME},
        OperationType.STEP: {
            "Attempt": "attempt",
            "NextAttemptTimestamp": ("next_attempt_ms", _TIME),
            **_OUTCOME,
        },
        OperationType.WAIT: {"ScheduledEndTimestamp": ("scheduled_end_ms", _TIME)},
        OperationType.CALLBACK: {"CallbackId": "callback_id", **_OUTCOME},
        OperationType.CHAINED_INVOKE: _OUTCOME,
    },
)

UPDATE = JsonShape(
    OperationUpdate,
    {
        "Id": "id",
        "ParentId": "parent_id",
        "Name": "name",
        "Type": ("type", _OPERATION_TYPE),
        "SubType": "sub_type",
        "Action": ("action", _enum(OperationAction)),
        "Payload": "payload",
        "Error": ("error", _ERROR),
        "ContextOptions": {"ReplayChildren": "replay_children"},
        "StepOptions": {"NextAttemptDelaySeconds": "next_attempt_delay_seconds"},
        "WaitOptions": {"WaitSeconds": "wait_seconds"},
        "CallbackOptions": {
            "TimeoutSeconds": "timeout_seconds",
            "HeartbeatTimeoutSeconds": "heartbeat_timeout_seconds",
        },
        "ChainedInvokeOptions": {"FunctionName": "function_name", "TenantId": "tenant_id"},
    },
)

_RESULT = {"Result": ("payload", _held(_PLAIN, always=True))}
_FAILURE = {"Error": ("error", _held(_ERROR, always=True))}
_FAILURE_IF_ANY = {"Error": ("error", _held(_ERROR))}
_RETRY = {
    "RetryDetails": {
        "CurrentAttempt": "attempt",
        "NextAttemptDelaySeconds": "next_attempt_delay_seconds",
    }
}

EVENT = JsonShape(
    HistoryEvent,
    {
        "EventType": ("type", _enum(EventType)),
        "SubType": "sub_type",
        "EventId": "event_id",
        "Id": "id",
        "Name": "name",
        "EventTimestamp": ("timestamp_ms", _TIME),
        "ParentId": "parent_id",
    },
    {
        EventType.EXECUTION_STARTED: {
            "Input": ("payload", _held(_PLAIN, always=True)),
            "ExecutionTimeout": "duration_seconds",
        },
        EventType.EXECUTION_SUCCEEDED: _RESULT,
        EventType.EXECUTION_FAILED: _FAILURE,
        EventType.EXECUTION_TIMED_OUT: _FAILURE_IF_ANY,
        EventType.EXECUTION_STOPPED: _FAILURE,
        EventType.CONTEXT_STARTED: {},
        EventType.CONTEXT_SUCCEEDED: _RESULT,
        EventType.CONTEXT_FAILED: _FAILURE,
        EventType.WAIT_STARTED: {
            "Duration": "duration_seconds",
            "ScheduledEndTimestamp": ("scheduled_end_ms", _TIME),
        },
        EventType.WAIT_SUCCEEDED: {"Duration": "duration_seconds"},
        EventType.WAIT_CANCELLED: _FAILURE_IF_ANY,
        EventType.STEP_STARTED: {},
        EventType.STEP_SUCCEEDED: _RESULT | _RETRY,
        EventType.STEP_FAILED: _FAILURE | _RETRY,
        EventType.CHAINED_INVOKE_STARTED: {
            "FunctionName": "function_name",
            "TenantId": "tenant_id",
            "Input": ("payload", _held(_PLAIN)),
            "ExecutedVersion": "executed_version",
            "DurableExecutionArn": "execution_arn",
        },
        EventType.CHAINED_INVOKE_SUCCEEDED: _RESULT,
        EventType.CHAINED_INVOKE_FAILED: _FAILURE,
        EventType.CHAINED_INVOKE_TIMED_OUT: _FAILURE,
        EventType.CHAINED_INVOKE_STOPPED: _FAILURE,
        EventType.CALLBACK_STARTED: {
            "CallbackId": "callback_id",
            "HeartbeatTimeout": "heartbeat_timeout_seconds",
            "Timeout": "timeout_seconds",
        },
        EventType.CALLBACK_SUCCEEDED: _RESULT,
        EventType.CALLBACK_FAILED: _FAILURE,
        EventType.CALLBACK_TIMED_OUT: _FAILURE,
        EventType.INVOCATION_COMPLETED: {
            "StartTimestamp": ("start_ms", _TIME),
            "EndTimestamp": ("end_ms", _TIME),
            "RequestId": "request_id",
            **_FAILURE_IF_ANY,
        },
    },
)


def without_data(event: Json) -> Json:
    """Return an event's JSON with its input, result or error, if any, marked as truncated."""
    details = f"{event['EventType']}Details"
    return event | {
        details: {
            name: {"Truncated": True} if isinstance(value, dict) and "Payload" in value else value
            for name, value in event[details].items()
        }
    }
