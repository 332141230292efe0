"""`Invoke`: of durable and of plain functions, for an answer, without one, and dry."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner, InvocationStatus
from gateway.clients import Client

pytestmark = pytest.mark.processes


def payload_of(answer: dict[str, Any]) -> Any:
    return json.loads(answer["Payload"].read())


# -- durable functions -----------------------------------------------------------------------


def test_a_durable_function_is_waited_for(client: Client) -> None:
    answer = client.invoke(FunctionName="order", Payload=b'{"order": 1}')
    assert answer["StatusCode"] == 200
    assert "FunctionError" not in answer
    assert payload_of(answer) == {"order": 1}
    assert answer["ExecutedVersion"] == "$LATEST"
    execution = client.get_durable_execution(DurableExecutionArn=answer["DurableExecutionArn"])
    assert execution["Status"] == "SUCCEEDED"


def test_a_durable_function_s_error_is_the_answer(client: Client) -> None:
    answer = client.invoke(FunctionName="refused")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = payload_of(answer)
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no credit")
    assert answer["DurableExecutionArn"]


def test_an_event_is_not_waited_for(
    client: Client, runner: DurableFunctionTestRunner, name: str
) -> None:
    answer = client.invoke(
        FunctionName="order", InvocationType="Event", Payload=b"[1]", DurableExecutionName=name
    )
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    assert f"/durable-execution/{name}/" in answer["DurableExecutionArn"]
    result = runner.wait_for_result(answer["DurableExecutionArn"])
    assert (result.status, result.result) == (InvocationStatus.SUCCEEDED, "[1]")


def test_a_dry_run_runs_nothing(client: Client, name: str) -> None:
    answer = client.invoke(FunctionName="order", InvocationType="DryRun", DurableExecutionName=name)
    assert answer["StatusCode"] == 204
    assert "DurableExecutionArn" not in answer
    found = client.list_durable_executions_by_function(
        FunctionName="order", DurableExecutionName=name
    )
    assert found["DurableExecutions"] == []


def test_a_name_means_one_execution(client: Client, name: str) -> None:
    first = client.invoke(FunctionName="order", Payload=b"1", DurableExecutionName=name)
    second = client.invoke(FunctionName="order", Payload=b"1", DurableExecutionName=name)
    assert first["DurableExecutionArn"] == second["DurableExecutionArn"]
    assert payload_of(second) == 1
    with pytest.raises(client.exceptions.DurableExecutionAlreadyStartedException):
        client.invoke(FunctionName="order", Payload=b"2", DurableExecutionName=name)


def test_a_long_execution_is_not_waited_for(client: Client) -> None:
    with pytest.raises(
        client.exceptions.InvalidParameterValueException,
        match="cannot synchronously invoke a durable function with an executionTimeout greater",
    ):
        client.invoke(FunctionName="long")
    assert client.invoke(FunctionName="long", InvocationType="Event")["StatusCode"] == 202


def test_who_waits_may_learn_that_it_was_stopped(
    client: Client, start: Callable[..., str], name: str
) -> None:
    arn = start("approval", DurableExecutionName=name)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(
            client.invoke, FunctionName="approval", DurableExecutionName=name, Payload=b"{}"
        )
        client.stop_durable_execution(
            DurableExecutionArn=arn, Error={"ErrorType": "Enough", "ErrorMessage": "of this"}
        )
        answer = waiting.result()
    assert answer["FunctionError"] == "Unhandled"
    assert payload_of(answer)["errorType"] == "Enough"


def test_an_alias_is_part_of_the_name_or_beside_it(client: Client) -> None:
    for given in (
        {"FunctionName": "order:live"},
        {"FunctionName": "order", "Qualifier": "live"},
        {"FunctionName": "order:live", "Qualifier": "live"},
        {"FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:order:live"},
        {"FunctionName": "123456789012:function:order", "Qualifier": "live"},
    ):
        answer = client.invoke(**given)
        arn = answer["DurableExecutionArn"]
        assert ":function:order:$LATEST/" in arn
        execution = client.get_durable_execution(DurableExecutionArn=arn)
        assert execution["FunctionArn"].endswith(":function:order:$LATEST")


def test_two_qualifiers_must_be_one(client: Client) -> None:
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="does not match"):
        client.invoke(FunctionName="order:live", Qualifier="other")


# -- plain functions -------------------------------------------------------------------------


def test_a_plain_function_answers(client: Client) -> None:
    context = base64.b64encode(b'{"custom": {"shop": "corner"}, "client": {}}').decode()
    answer = client.invoke(
        FunctionName="plain", Payload=b'{"n": 1}', TenantId="acme", ClientContext=context
    )
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "DurableExecutionArn" not in answer
    assert payload_of(answer) == {"event": {"n": 1}, "tenant": "acme", "custom": {"shop": "corner"}}


def test_without_a_payload_the_event_is_empty(client: Client) -> None:
    assert payload_of(client.invoke(FunctionName="plain"))["event"] == {}


def test_a_plain_function_s_event_is_not_waited_for(client: Client) -> None:
    answer = client.invoke(FunctionName="sleeping", InvocationType="Event")
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")


@pytest.mark.parametrize(
    ("function", "type", "text"),
    [
        ("failing", "CardRefused", "no credit"),
        ("exiting", "Runtime.ExitError", "exit status 3"),
        ("sleeping", "Sandbox.Timedout", "Task timed out after 0.30 seconds"),
        ("large", "Function.ResponseSizeTooLarge", "6291456"),
    ],
)
def test_a_plain_function_s_failure_is_the_answer(
    client: Client, function: str, type: str, text: str
) -> None:
    answer = client.invoke(FunctionName=function)
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = payload_of(answer)
    assert error["errorType"] == type
    assert ("requestId" in error) is not text.startswith(("exit", "Task"))
    assert text in error["errorMessage"]


def test_a_plain_function_has_no_executions(client: Client, name: str) -> None:
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="durable"):
        client.invoke(FunctionName="plain", DurableExecutionName=name)


# -- what goes with the answer ---------------------------------------------------------------


def log_of(answer: dict[str, Any]) -> str:
    return base64.b64decode(answer["LogResult"]).decode()


def test_the_log_comes_with_the_answer_where_it_is_asked_for(client: Client) -> None:
    log = log_of(client.invoke(FunctionName="plain", LogType="Tail", Payload=b"5"))
    start, line, end, report = log.splitlines()
    assert start.startswith("START RequestId: ")
    assert line == "plain has 5"
    assert end.startswith("END RequestId: ")
    assert "Memory Size: 128 MB" in report
    assert "LogResult" not in client.invoke(FunctionName="plain", LogType="None")


def test_only_the_end_of_a_long_log_comes(client: Client) -> None:
    log = log_of(client.invoke(FunctionName="talkative", LogType="Tail"))
    assert len(log) == 4096
    assert "line 999" in log
    assert "line 1\n" not in log


def test_a_durable_execution_s_log_is_that_of_its_invocations(client: Client) -> None:
    log = log_of(client.invoke(FunctionName="order", LogType="Tail"))
    assert log.count("START RequestId") == log.count("REPORT RequestId") == 2


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"{", b"\xff", b"NaN", b"[" * 100_000])
def test_a_payload_is_json(client: Client, payload: bytes) -> None:
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="plain", Payload=payload)


@pytest.mark.parametrize("context", ["***", base64.b64encode(b"[1]").decode(), "e30=" * 1000])
def test_a_client_context_is_a_small_json_object(client: Client, context: str) -> None:
    with pytest.raises(client.exceptions.InvalidRequestContentException, match="Client context"):
        client.invoke(FunctionName="plain", ClientContext=context)


@pytest.mark.parametrize(
    ("kind", "size"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)]
)
def test_a_payload_has_a_greatest_size(client: Client, kind: str, size: int) -> None:
    largest = b'"' + b"x" * (size - 2) + b'"'
    assert client.invoke(FunctionName="talkative", InvocationType=kind, Payload=largest)
    with pytest.raises(client.exceptions.RequestTooLargeException, match=f"limit {size} bytes"):
        client.invoke(FunctionName="talkative", InvocationType=kind, Payload=largest + b" ")


@pytest.mark.parametrize(
    "function",
    [
        "missing",
        "arn:aws:lambda:eu-west-1:123456789012:function:order",
        "arn:aws:lambda:us-east-1:210987654321:function:order",
    ],
)
def test_an_unknown_function_is_not_found(client: Client, function: str) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName=function)
