"""Lambda's JSON: what is written is botocore's service model's, and is read back the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from random import Random
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core import shapes
from async_durable_execution_runner.core.model import (
    ErrorObject,
    EventType,
    HistoryEvent,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)

from .machine import BOOM, CALLBACK, CHAINED_INVOKE, STEP, T0, invoked, retry, start
from .test_history import eventful

LAMBDA = botocore.session.get_session().get_service_model("lambda")
#: Each shape by its name in the service's model, and each type of what has types.
KINDS: list[Any] = [
    ("ErrorObject", shapes.ERROR, ErrorObject, {}),
    ("OperationUpdate", shapes.UPDATE, OperationUpdate, {}),
    *(("Operation", shapes.OPERATION, Operation, {"type": each}) for each in OperationType),
    *(("Event", shapes.EVENT, HistoryEvent, {"type": each}) for each in EventType),
]
every_kind = pytest.mark.parametrize(
    ("name", "shape", "cls", "type"),
    KINDS,
    ids=["-".join((name, *(each.value for each in type.values()))) for name, _, _, type in KINDS],
)


#: What fields can hold, by their annotations. The first is the default of none of them.
VALUES: dict[str, list[Any]] = {
    "int": [1, 0, T0, T0 + 999],
    "str": ["text", "", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"],
    "bool": [True, False],
    "tuple[str, ...]": [("a line", "another"), ()],
    "ErrorObject": [ErrorObject("m", "t", "d", ("l",)), ErrorObject("", "", "", ()), ErrorObject()],
    **{
        kind.__name__: list(kind)
        for kind in (OperationType, OperationStatus, OperationAction, EventType)
    },
}


def values_of(cls: Any) -> dict[str, list[Any]]:
    """All that each field is to be tried with."""
    return {
        field.name: VALUES[str(field.type).removesuffix(" | None")]
        + [None] * str(field.type).endswith(" | None")
        for field in fields(cls)
    }


def full(cls: Any, type: dict[str, Any]) -> Any:
    return cls(**{name: values[0] for name, values in values_of(cls).items()} | type)


def kept(shape: Any, record: Any) -> set[str]:
    """The fields that a record of this type has in JSON."""
    read = shape.from_json(shape.to_json(record))
    return {
        field.name
        for field in fields(record)
        if getattr(read, field.name) == getattr(record, field.name)
    }


@every_kind
def test_what_is_written_is_read_back(name: str, shape: Any, cls: Any, type: Any) -> None:
    random = Random(name)
    possible = values_of(cls)
    names = kept(shape, full(cls, type))
    for _ in range(100):
        record = cls(**{name: random.choice(possible[name]) for name in names} | type)
        written = json.loads(json.dumps(shape.to_json(record)))
        assert shape.from_json(written) == record
        written["Unknown"] = 1
        assert shape.from_json(written) == record


@every_kind
def test_every_member_of_the_model_is_there(name: str, shape: Any, cls: Any, type: Any) -> None:
    """And no other: of an operation and an event, those of its own details."""
    written = shape.to_json(full(cls, type))
    check(written, LAMBDA.shape_for(name), name)
    others = {
        member
        for member in LAMBDA.shape_for(name).members
        if type and member.endswith("Details") and member not in written
    }
    assert set(paths(written)) == {
        path for path in model_paths(LAMBDA.shape_for(name)) if path.partition(".")[0] not in others
    }


@pytest.mark.parametrize("cls", [ErrorObject, OperationUpdate, Operation, HistoryEvent])
def test_no_field_is_forgotten(cls: Any) -> None:
    kinds = [(shape, full(cls, type)) for _, shape, each, type in KINDS if each is cls]
    names = set().union(*(kept(shape, record) for shape, record in kinds))
    assert names == {field.name for field in fields(cls)}


def paths(shape: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in shape.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from paths(value, f"{prefix}{name}.")


def model_paths(shape: Any, prefix: str = "") -> Iterator[str]:
    for name, member in shape.members.items():
        yield f"{prefix}{name}"
        if member.type_name == "structure":
            yield from model_paths(member, f"{prefix}{name}.")


def parsed(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """What boto3 makes of this answer."""
    shape = LAMBDA.operation_model(operation).output_shape
    check(body, shape, operation)
    response = {"status_code": 200, "headers": {}, "body": json.dumps(body).encode()}
    result: dict[str, Any] = create_parser("rest-json").parse(response, shape)
    return result


def check(value: Any, shape: Any, where: str) -> None:
    """Every member is of the model, and every required one is there."""
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), where
        assert set(shape.required_members) <= set(value), where
        for name, member in value.items():
            check(member, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for each in value:
            check(each, shape.member, where)
    elif "enum" in shape.metadata:
        assert value in shape.metadata["enum"], where


def details(event: HistoryEvent) -> Any:
    return shapes.EVENT.to_json(event)[f"{event.type.value}Details"]


@pytest.mark.parametrize("data", [True, False])
def test_history_events_are_the_model_s(data: bool) -> None:
    history = eventful().execution.history
    events = list(map(shapes.EVENT.to_json, history))
    if not data:
        events = list(map(shapes.without_data, events))
    read = parsed("GetDurableExecutionHistory", {"Events": events})["Events"]
    assert [event.type.value for event in history] == [event["EventType"] for event in read]
    assert isinstance(read[0]["EventTimestamp"], datetime)
    assert int(read[0]["EventTimestamp"].timestamp() * 1000) == T0


def test_operations_are_the_model_s() -> None:
    there = eventful().execution.operations.values()
    operations = list(map(shapes.OPERATION.to_json, there))
    read = parsed("GetDurableExecutionState", {"Operations": operations})["Operations"]
    assert len(operations) == len(read)
    assert {type.value for type in OperationType} == {each["Type"] for each in read}


def test_without_execution_data_payloads_are_marked_as_truncated() -> None:
    machine = invoked(start(STEP), retry(error=BOOM))
    *_, event = machine.execution.history
    assert shapes.without_data(shapes.EVENT.to_json(event))["StepFailedDetails"] == {
        "Error": {"Truncated": True},
        "RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 5},
    }


def test_an_invocation_that_went_well_has_no_error() -> None:
    machine = invoked(start(CALLBACK, timeout_seconds=60))
    machine.suspends()
    *_, event = machine.execution.history
    assert EventType.INVOCATION_COMPLETED is event.type
    assert {"StartTimestamp", "EndTimestamp", "RequestId"} == set(details(event))


def test_a_result_that_is_not_there_is_an_empty_one() -> None:
    machine = invoked()
    machine.returns(ev.Outcome.SUCCEEDED)
    *_, event = machine.execution.history
    assert details(event) == {"Result": {"Truncated": False}}


def test_an_error_is_there_only_where_the_model_demands_it() -> None:
    machine = invoked(timeout_seconds=1)
    machine.pass_time(1)
    assert details(machine.last_event) == {}
    machine = invoked()
    machine.returns(ev.Outcome.FAILED)
    assert details(machine.last_event) == {"Error": {"Truncated": False}}


def test_an_input_that_was_not_kept_is_not_there() -> None:
    machine = invoked()
    machine.checkpoint(start(CHAINED_INVOKE, payload="1"), targets={"op": BOOM})
    *_, started, failed = machine.execution.history
    assert details(started) == {"FunctionName": "ship"}
    assert details(failed)["Error"]["Payload"]["ErrorType"] == "Boom"


def test_an_error_keeps_its_members_apart() -> None:
    assert shapes.ERROR.to_json(ErrorObject(type="Boom", stack_trace=("here",))) == {
        "ErrorType": "Boom",
        "StackTrace": ["here"],
    }


def test_an_error_that_a_handler_made_up_is_text() -> None:
    odd = {"ErrorMessage": 5, "ErrorType": "caf\udce9", "StackTrace": "no list"}
    assert shapes.ERROR.from_json(odd) == ErrorObject("5", r"caf\udce9")


def test_a_step_s_next_attempt_is_in_seconds() -> None:
    machine = invoked(start(STEP), retry())
    step: Operation = machine.op()
    assert shapes.OPERATION.to_json(step)["StepDetails"]["NextAttemptTimestamp"] == T0 / 1000 + 5


def test_times_are_as_they_are_asked_for() -> None:
    operation = Operation("a", OperationType.STEP, OperationStatus.READY, T0, next_attempt_ms=T0)
    written = shapes.OPERATION.to_json(operation, lambda time: f"at {time}")
    assert written["StepDetails"]["NextAttemptTimestamp"] == f"at {T0}"
    assert shapes.OPERATION.from_json(written, lambda text: int(text[3:])) == operation
