"""Every field of every message there and back, found by looking at the dataclasses."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from enum import Enum
from typing import Any, get_args, get_type_hints

import pytest
from google.protobuf.message import Message

from async_durable_execution_runner.core import model
from async_durable_execution_runner.core.divergence import (
    Divergence,
    DivergenceKind,
    Identity,
    Source,
)
from async_durable_execution_runner.core.model import (
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
from async_durable_execution_runner.errors import InvalidParameterValue
from async_durable_execution_runner.rpc import codec
from async_durable_execution_runner.rpc.v1 import model_pb2 as pb


@dataclasses.dataclass(frozen=True)
class Codec:
    dataclass: type[Any]
    message: type[Message]
    encode: Callable[[Any], Message]
    decode: Callable[[Any], Any]

    def there_and_back(self, value: object) -> object:
        wire = self.encode(value).SerializeToString()
        return self.decode(self.message.FromString(wire))


CODECS = [
    Codec(ErrorObject, pb.ErrorObject, codec.error_to_proto, codec.error_from_proto),
    Codec(OperationUpdate, pb.OperationUpdate, codec.update_to_proto, codec.update_from_proto),
    Codec(Operation, pb.Operation, codec.operation_to_proto, codec.operation_from_proto),
    Codec(HistoryEvent, pb.HistoryEvent, codec.event_to_proto, codec.event_from_proto),
    Codec(OutputLine, pb.OutputLine, codec.line_to_proto, codec.line_from_proto),
    Codec(Effect, pb.Effect, codec.effect_to_proto, codec.effect_from_proto),
]
FIELDS = [(c, field.name) for c in CODECS for field in dataclasses.fields(c.dataclass)]
#: Nobody's codec: they travel inside, by number.
ENUMS = {
    OperationType,
    OperationStatus,
    OperationAction,
    ExecutionStatus,
    EventType,
    Isolation,
    OutputStream,
}

each = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.dataclass.__name__)
each_field = pytest.mark.parametrize(
    ("codec", "field"), FIELDS, ids=[f"{c.dataclass.__name__}.{name}" for c, name in FIELDS]
)


def sample(hint: Any, name: str) -> Any:
    """A value that no default equals, made for a field by its type and name."""
    if isinstance(hint, types.UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if hint is ErrorObject:
        return ErrorObject("m", "t", "d", ("first", "second"))
    if hint == tuple[str, ...]:
        return (f"{name} 1", f"{name} 2")
    if issubclass(hint, Enum):
        return list(hint)[-1]
    if hint is bool:
        return True
    if hint is int:
        return 1_750_000_000_000 + len(name) if name.endswith("_ms") else 1000 + len(name)
    assert hint is str, f"no sample for {hint}"
    return f"{name} é €"


def empty(hint: Any) -> Any:
    """The value that is false, but not `None`."""
    if isinstance(hint, types.UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    return ErrorObject() if hint is ErrorObject else hint()


def required(codec: Codec) -> dict[str, Any]:
    hints = get_type_hints(codec.dataclass)
    return {
        field.name: sample(hints[field.name], field.name)
        for field in dataclasses.fields(codec.dataclass)
        if field.default is dataclasses.MISSING
    }


def test_every_dataclass_of_the_model_has_a_codec() -> None:
    classes = {value for value in vars(model).values() if isinstance(value, type)}
    enums = {cls for cls in classes if issubclass(cls, Enum) and len(cls)}
    assert enums == ENUMS
    assert {cls for cls in classes if dataclasses.is_dataclass(cls)} == {
        codec.dataclass for codec in CODECS
    }


@each
def test_message_and_dataclass_have_the_same_fields(codec: Codec) -> None:
    names = {field.name for field in dataclasses.fields(codec.dataclass)}
    assert names == {field.name for field in codec.message.DESCRIPTOR.fields}


@each
def test_with_every_field_set(codec: Codec) -> None:
    hints = get_type_hints(codec.dataclass)
    value = codec.dataclass(**{name: sample(hint, name) for name, hint in hints.items()})
    assert codec.there_and_back(value) == value


@each_field
def test_with_one_field_set(codec: Codec, field: str) -> None:
    """So that no two fields are exchanged, and none is taken for another."""
    hint = get_type_hints(codec.dataclass)[field]
    value = codec.dataclass(**(required(codec) | {field: sample(hint, field)}))
    assert codec.there_and_back(value) == value


@each
def test_what_is_absent_stays_absent(codec: Codec) -> None:
    value = codec.dataclass(**required(codec))
    assert codec.there_and_back(value) == value


def has_empty(codec: Codec, field: str) -> bool:
    hint = get_type_hints(codec.dataclass)[field]
    return not (isinstance(hint, type) and issubclass(hint, Enum))


@pytest.mark.parametrize(
    ("codec", "field"),
    [field for field in FIELDS if has_empty(*field)],
    ids=[f"{c.dataclass.__name__}.{name}" for c, name in FIELDS if has_empty(c, name)],
)
def test_empty_is_not_absent(codec: Codec, field: str) -> None:
    hint = get_type_hints(codec.dataclass)[field]
    value = codec.dataclass(**(required(codec) | {field: empty(hint)}))
    expected = value
    if field == "stack_trace":
        # A repeated field cannot tell: no lines are no trace.
        expected = dataclasses.replace(value, stack_trace=None)
    assert codec.there_and_back(value) == expected


MEMBERS = [
    (Operation, "type", OperationType),
    (Operation, "status", OperationStatus),
    (OperationUpdate, "type", OperationType),
    (OperationUpdate, "action", OperationAction),
    (HistoryEvent, "type", EventType),
    (OutputLine, "stream", OutputStream),
]


@pytest.mark.parametrize(("dataclass", "field", "enum"), MEMBERS)
def test_every_member_of_an_enum(dataclass: type, field: str, enum: type[Enum]) -> None:
    codec = next(codec for codec in CODECS if codec.dataclass is dataclass)
    for member in enum:
        value = dataclass(**(required(codec) | {field: member}))
        assert codec.there_and_back(value) == value


def test_every_execution_status() -> None:
    for status in ExecutionStatus:
        number = codec.execution_status_to_proto(status)
        assert codec.execution_status_from_proto(number) is status


# -- what nobody knows -------------------------------------------------------------------

UNKNOWN_NUMBERS = [0, 99, -1]


@pytest.mark.parametrize("number", UNKNOWN_NUMBERS)
@pytest.mark.parametrize(
    ("message", "field", "decode", "text"),
    [
        (pb.OperationUpdate, "type", codec.update_from_proto, "Unknown operation type."),
        (
            pb.OperationUpdate,
            "action",
            codec.update_from_proto,
            "Invalid action for the given operation type.",
        ),
        (pb.Operation, "type", codec.operation_from_proto, "Unknown operation type."),
        (pb.Operation, "status", codec.operation_from_proto, "Unknown operation status."),
        (pb.OutputLine, "stream", codec.line_from_proto, "Unknown output stream."),
    ],
)
def test_an_unknown_number_is_refused_in_the_services_words(
    message: type[Message], field: str, decode: Callable[[Any], Any], text: str, number: int
) -> None:
    fields = {f.name: 1 for f in message.DESCRIPTOR.fields if f.enum_type} | {field: number}
    with pytest.raises(InvalidParameterValue) as refused:
        decode(message(**fields))
    assert str(refused.value) == text


@pytest.mark.parametrize("number", UNKNOWN_NUMBERS)
def test_an_unknown_execution_status_is_refused(number: int) -> None:
    with pytest.raises(InvalidParameterValue, match=r"^Unknown execution status\.$"):
        codec.execution_status_from_proto(number)


@pytest.mark.parametrize("type", ["", "StepExploded"])
def test_an_unknown_type_of_event_is_refused(type: str) -> None:
    with pytest.raises(InvalidParameterValue, match=r"^Unknown event type\.$"):
        codec.event_from_proto(pb.HistoryEvent(event_id=1, type=type, timestamp_ms=1))


def test_an_update_with_nothing_in_it_is_refused_not_crashed_on() -> None:
    with pytest.raises(InvalidParameterValue):
        codec.update_from_proto(pb.OperationUpdate())


def test_a_field_that_only_a_newer_peer_knows_is_ignored() -> None:
    value = OperationUpdate("op", OperationType.STEP, OperationAction.START)
    unknown = b"\xf2\x07\x03new"  # field 126, three bytes
    wire = codec.update_to_proto(value).SerializeToString() + unknown
    assert codec.update_from_proto(pb.OperationUpdate.FromString(wire)) == value


# -- divergences -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DivergenceKind)
@pytest.mark.parametrize("replayed", [None, Identity("", "Wait", None, "p2", "h.py:2 in h")])
def test_divergence_there_and_back(kind: DivergenceKind, replayed: Identity | None) -> None:
    recorded = Identity("STEP", "Step", "a", None, "h.py:1 in h", "box")
    divergence = Divergence(kind, "op", recorded, replayed, invocation=3)
    wire = codec.divergence_to_proto(divergence).SerializeToString()
    assert codec.divergence_from_proto(pb.Divergence.FromString(wire), 3) == divergence


def test_sources_there_and_back() -> None:
    sources = [Source("h.py:1 in h"), Source("h.py:1 in h", in_task=True)]
    wire = codec.sources_to_proto(sources, [2, 0, 1, 1]).SerializeToString()
    read = list(codec.sources_from_proto(pb.Sources.FromString(wire), 4))
    assert read == [sources[1], Source(), sources[0], sources[0]]


def test_sources_that_nobody_sent() -> None:
    assert list(codec.sources_from_proto(pb.Sources(), 2)) == [Source(), Source()]
