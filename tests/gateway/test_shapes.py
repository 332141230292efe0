"""Every shape has the members that botocore's service model has, and all that it demands."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from core.machine import BOOM, CALLBACK, CHAINED_INVOKE, STEP, T0, invoked, retry, start
from core.test_history import eventful

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.model import ErrorObject, EventType, Operation
from async_durable_execution_runner.gateway import shapes

LAMBDA = botocore.session.get_session().get_service_model("lambda")


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


@pytest.mark.parametrize("data", [True, False])
def test_history_events_are_the_model_s(data: bool) -> None:
    history = eventful().execution.history
    events = [shapes.history_event(event, data) for event in history]
    read = parsed("GetDurableExecutionHistory", {"Events": events})["Events"]
    assert [event.type.value for event in history] == [event["EventType"] for event in read]
    assert isinstance(read[0]["EventTimestamp"], datetime)
    assert int(read[0]["EventTimestamp"].timestamp() * 1000) == T0


def test_operations_are_the_model_s() -> None:
    operations = [shapes.operation(each) for each in eventful().execution.operations.values()]
    read = parsed("GetDurableExecutionState", {"Operations": operations})["Operations"]
    assert len(operations) == len(read)
    assert {type.value for type in shapes._DETAILS} == {each["Type"] for each in read}


def test_without_execution_data_payloads_are_marked_as_truncated() -> None:
    machine = invoked(start(STEP), retry(error=BOOM))
    *_, event = machine.execution.history
    assert shapes.history_event(event, False)["StepFailedDetails"] == {
        "Error": {"Truncated": True},
        "RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 5},
    }


def test_an_invocation_that_went_well_has_no_error() -> None:
    machine = invoked(start(CALLBACK, timeout_seconds=60))
    machine.suspends()
    *_, event = machine.execution.history
    assert EventType.INVOCATION_COMPLETED is event.type
    assert {"StartTimestamp", "EndTimestamp", "RequestId"} == set(
        shapes.history_event(event, True)["InvocationCompletedDetails"]
    )


def test_a_result_that_is_not_there_is_an_empty_one() -> None:
    machine = invoked()
    machine.returns(ev.Outcome.SUCCEEDED)
    *_, event = machine.execution.history
    assert shapes.history_event(event, True)["ExecutionSucceededDetails"] == {
        "Result": {"Truncated": False}
    }


def test_an_error_is_there_only_where_the_model_demands_it() -> None:
    machine = invoked(timeout_seconds=1)
    machine.pass_time(1)
    event = shapes.history_event(machine.last_event, True)
    assert event["ExecutionTimedOutDetails"] == {}
    machine = invoked()
    machine.returns(ev.Outcome.FAILED)
    event = shapes.history_event(machine.last_event, True)
    assert event["ExecutionFailedDetails"] == {"Error": {"Truncated": False}}


def test_an_input_that_was_not_kept_is_not_there() -> None:
    machine = invoked()
    machine.checkpoint(start(CHAINED_INVOKE, payload="1"), targets={"op": BOOM})
    *_, started, failed = (shapes.history_event(e, True) for e in machine.execution.history)
    assert started["ChainedInvokeStartedDetails"] == {"FunctionName": "ship"}
    assert failed["ChainedInvokeFailedDetails"]["Error"]["Payload"]["ErrorType"] == "Boom"


def test_an_error_keeps_its_members_apart() -> None:
    assert shapes.error_object(None) is None
    assert shapes.error_object(ErrorObject(type="Boom", stack_trace=("here",))) == {
        "ErrorType": "Boom",
        "StackTrace": ["here"],
    }


def test_a_step_s_next_attempt_is_in_seconds() -> None:
    machine = invoked(start(STEP), retry())
    step: Operation = machine.op()
    assert shapes.operation(step)["StepDetails"]["NextAttemptTimestamp"] == T0 / 1000 + 5
