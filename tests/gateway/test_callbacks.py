"""Callbacks answered over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner
from async_durable_execution_runner.client.drive import drive
from gateway import handlers
from gateway.clients import Client, client_for

pytestmark = pytest.mark.processes

Start = Callable[..., str]


@pytest.fixture
def callback(runner: DurableFunctionTestRunner, start: Start) -> tuple[str, str]:
    """The ARN of an execution and the id of its open callback."""
    arn = start("approval")
    return arn, runner.wait_for_callback(arn)


def test_success(
    client: Client, runner: DurableFunctionTestRunner, callback: tuple[str, str]
) -> None:
    arn, callback_id = callback
    client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"fine \xc3\xa9")
    assert json.loads(runner.wait_for_result(arn).result) == {
        "approved": "fine \N{LATIN SMALL LETTER E WITH ACUTE}"
    }


def test_success_without_a_result(
    client: Client, runner: DurableFunctionTestRunner, callback: tuple[str, str]
) -> None:
    arn, callback_id = callback
    client.send_durable_execution_callback_success(CallbackId=callback_id)
    assert json.loads(runner.wait_for_result(arn).result) == {"approved": None}


def test_failure(
    client: Client, runner: DurableFunctionTestRunner, callback: tuple[str, str]
) -> None:
    arn, callback_id = callback
    client.send_durable_execution_callback_failure(
        CallbackId=callback_id, Error={"ErrorType": "No", "ErrorMessage": "too dear"}
    )
    assert "too dear" in runner.wait_for_result(arn).result


def test_heartbeat(client: Client, callback: tuple[str, str]) -> None:
    arn, callback_id = callback
    client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)
    assert client.get_durable_execution(DurableExecutionArn=arn)["Status"] == "RUNNING"


@pytest.mark.parametrize("how", ["success", "failure", "heartbeat"])
def test_a_second_answer_is_refused(client: Client, callback: tuple[str, str], how: str) -> None:
    _, callback_id = callback
    client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"1")
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        getattr(client, f"send_durable_execution_callback_{how}")(CallbackId=callback_id)


@pytest.mark.parametrize("how", ["success", "failure", "heartbeat"])
def test_an_unknown_callback_is_an_invalid_parameter(client: Client, how: str) -> None:
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="callback id"):
        getattr(client, f"send_durable_execution_callback_{how}")(CallbackId="bm9uZQ==")


@pytest.mark.parametrize("how", ["success", "failure", "heartbeat"])
def test_a_callback_that_timed_out_says_so(
    client: Client, runner: DurableFunctionTestRunner, start: Start, how: str
) -> None:
    arn = start("impatient")
    late = runner.wait_for_callback(arn, "first")
    runner.advance(2, arn)
    runner.wait_for_callback(arn, "second")
    with pytest.raises(client.exceptions.CallbackTimeoutException) as caught:
        getattr(client, f"send_durable_execution_callback_{how}")(CallbackId=late)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    client.stop_durable_execution(DurableExecutionArn=arn)


def test_whoever_read_the_callback_s_id_may_take_its_time(
    client: Client, endpoint: str, name: str
) -> None:
    """The caller waits for the end, and so time would be skipped to the callback's time-out."""
    reading = threading.Event()

    def answer() -> None:
        other = client_for(endpoint)
        while not reading.is_set():
            found = other.list_durable_executions_by_function(
                FunctionName="approval", DurableExecutionName=name
            )["DurableExecutions"]
            if not found:
                continue
            events = other.get_durable_execution_history(
                DurableExecutionArn=found[0]["DurableExecutionArn"]
            )["Events"]
            for event in events:
                if event["EventType"] == "CallbackStarted":
                    callback_id = event["CallbackStartedDetails"]["CallbackId"]
                    other.send_durable_execution_callback_success(
                        CallbackId=callback_id, Result=b"late"
                    )
                    reading.set()

    with ThreadPoolExecutor() as pool:
        answering = pool.submit(answer)
        result = client.invoke(FunctionName="approval", DurableExecutionName=name)
        answering.result()
    assert json.loads(result["Payload"].read()) == {"approved": "late"}


def test_a_runner_in_real_time_serves_in_real_time(name: str) -> None:
    with DurableFunctionTestRunner(
        handler=handlers.order, function_name="slow", skip_time=False
    ) as runner:
        client: Any = client_for(runner.serve_aws_api())
        arn = client.invoke(FunctionName="slow", InvocationType="Event", DurableExecutionName=name)[
            "DurableExecutionArn"
        ]
        result = drive(runner._engine.wait(arn, "suspended", 30))
        assert result.get_wait("pause").end_timestamp is None
        assert client.get_durable_execution(DurableExecutionArn=arn)["Status"] == "RUNNING"
