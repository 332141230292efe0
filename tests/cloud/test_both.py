"""What a test does with a runner, with the local one and with the one for deployed functions."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from async_durable_execution import ErrorObject, OperationStatus

from async_durable_execution_runner import (
    CallbackTimeout,
    DurableExecutionAlreadyStarted,
    DurableFunctionTestRunner,
    InvalidParameterValue,
    InvocationStatus,
    OperationNotFound,
    ResourceNotFound,
)
from cloud.conftest import Runner

pytestmark = pytest.mark.processes


def test_success(runner: Runner) -> None:
    result = runner.run(input={"order_id": "o-1"}, timeout=30)
    assert result.status is InvocationStatus.SUCCEEDED
    assert result.get_deserialized_result() == {"order_id": "o-1"}
    assert result.input == '{"order_id": "o-1"}'
    assert result.function_name == "order"
    assert [each.name for each in result.operations] == ["first", "pause", "second"]
    assert result.get_step("second").result == '"done"'
    assert result.get_step("second").attempt == 1
    assert result.get_wait("pause").duration == timedelta(hours=1)
    assert timedelta(hours=1) <= result.duration < timedelta(hours=1, minutes=1)
    assert [each.outcome for each in result.invocations] == ["PENDING", "SUCCEEDED"]
    assert [each.event_type for each in result.history][-2:] == [
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert "step second" in result.describe()
    assert "(pid 0)" not in result.describe()


def test_failure(runner: Runner) -> None:
    result = runner.run(function_name="refused", timeout=30)
    assert result.status is InvocationStatus.FAILED
    assert (result.error.type, result.error.message) == ("ValueError", "no credit")
    assert result.result is None
    assert [each.outcome for each in result.invocations] == ["FAILED"]


def test_an_execution_that_times_out(runner: Runner, deployed: DurableFunctionTestRunner) -> None:
    handle = runner.start(function_name="short")
    handle.wait_for_callback("approval", timeout=30)
    deployed.advance(timedelta(minutes=6), handle.arn)
    result = handle.result(timeout=30)
    assert result.status is InvocationStatus.TIMED_OUT
    assert result.duration == timedelta(minutes=5)
    assert result.get_callback("approval").status is OperationStatus.STARTED


def test_a_payload_as_it_stands(runner: Runner) -> None:
    assert runner.run(payload='{"a":1}', timeout=30).result == '{"a": 1}'


def test_a_callback_is_answered(runner: Runner) -> None:
    handle = runner.start(function_name="approval")
    callback_id = runner.wait_for_callback(handle, name="approval", timeout=30)
    runner.send_callback_heartbeat(callback_id)
    runner.send_callback_success(callback_id, {"by": "ann"})
    result = runner.wait_for_result(handle, timeout=30)
    assert result.get_deserialized_result() == {"approved": '{"by": "ann"}'}
    assert result.get_callback("approval").callback_id == callback_id


def test_a_callback_is_refused(runner: Runner) -> None:
    handle = runner.start(function_name="approval")
    runner.send_callback_failure(
        handle.wait_for_callback(timeout=30), ErrorObject.from_message("too much")
    )
    assert handle.result(timeout=30).get_deserialized_result() == {"refused": "too much"}
    with pytest.raises(OperationNotFound, match="the execution has ended, SUCCEEDED"):
        handle.wait_for_callback(timeout=30)


def test_a_callback_by_the_name_of_its_operation(runner: Runner) -> None:
    arn = runner.run_async(input={"order_id": "o-1"}, function_name="hand-over")
    callback_id = runner.wait_for_callback("courier", timeout=30)
    runner.send_callback_success(callback_id, "signed")
    result = runner.wait_for_result(arn, timeout=30)
    assert result.get_deserialized_result()["receipt"] == "signed"


def test_an_answer_too_many_is_refused(runner: Runner) -> None:
    handle = runner.start(function_name="approval")
    callback_id = handle.wait_for_callback(timeout=30)
    runner.send_callback_success(callback_id, "yes")
    with pytest.raises(InvalidParameterValue, match="already been completed"):
        runner.send_callback_success(callback_id, "yes")


def test_an_answer_too_late_is_refused(runner: Runner, deployed: DurableFunctionTestRunner) -> None:
    handle = runner.start(function_name="impatient")
    callback_id = handle.wait_for_callback("first", timeout=30)
    deployed.advance(timedelta(seconds=2), handle.arn)
    with pytest.raises(CallbackTimeout):
        runner.send_callback_success(callback_id, "yes")
    assert handle.wait_for_callback("second", timeout=30) != callback_id
    handle.stop()


def test_an_execution_is_stopped(runner: Runner) -> None:
    handle = runner.start(function_name="approval")
    handle.run_until_suspended(timeout=30)
    handle.stop(ErrorObject(message="closed", type="Shop", data=None, stack_trace=None))
    result = handle.result(timeout=30)
    assert result.status is InvocationStatus.STOPPED
    assert (result.error.type, result.error.message) == ("Shop", "closed")
    assert result.history[-1].event_type == "ExecutionStopped"
    assert result.get_callback("approval").status is OperationStatus.STARTED


def test_an_execution_under_way(runner: Runner) -> None:
    handle = runner.start(function_name="approval")
    handle.run_until_suspended(timeout=30)
    snapshot = handle.snapshot()
    assert snapshot.status is InvocationStatus.PENDING
    assert snapshot.end_timestamp is None
    assert "waiting for  callback 'approval', unanswered" in handle.describe()
    assert [event.event_type for event in handle.history()][:2] == [
        "ExecutionStarted",
        "CallbackStarted",
    ]
    handle.stop()


def test_a_time_out_says_what_is_waited_for(runner: Runner) -> None:
    handle = runner.start(function_name="approval")
    handle.run_until_suspended(timeout=30)
    with pytest.raises(
        TimeoutError,
        match=r"(?s)did not end within 0.1 s; it waits for callback 'appr.*└─ callback approval",
    ):
        handle.result(timeout=0.1)
    with pytest.raises(
        TimeoutError, match=r"(?s)No callback 'other' was open within 0.1 s.*└─ callback approval"
    ):
        handle.wait_for_callback("other", timeout=0.1)
    handle.stop()


def test_an_execution_has_a_name(runner: Runner) -> None:
    name = f"order-{uuid.uuid4()}"
    result = runner.run(input=1, execution_name=name, timeout=30)
    assert result.execution_name == name
    assert result.execution_arn.split("/")[-2] == name
    # The same again is the same execution.
    assert runner.start(input=1, execution_name=name).arn == result.execution_arn
    with pytest.raises(DurableExecutionAlreadyStarted):
        runner.start(input=2, execution_name=name)


def test_many(runner: Runner) -> None:
    results = runner.run_many([1, 2, 3], timeout=30)
    assert [result.result for result in results] == ["1", "2", "3"]


def test_a_function_that_is_not_there(runner: Runner) -> None:
    with pytest.raises(ResourceNotFound, match="nonsense"):
        runner.start(function_name="nonsense")


def test_an_execution_that_is_not_there(runner: Runner) -> None:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:order:1/durable-execution/none/none"
    with pytest.raises(ResourceNotFound, match="durable-execution/none"):
        runner.wait_for_result(arn, timeout=30)


def test_input_and_payload_exclude_each_other(runner: Runner) -> None:
    with pytest.raises(ValueError, match="not both"):
        runner.run(1, payload="1")
