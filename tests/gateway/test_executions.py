"""What can be asked of durable executions, and done to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner
from gateway.clients import Client

pytestmark = pytest.mark.processes

UNKNOWN = "arn:aws:lambda:us-east-1:123456789012:function:order:$LATEST/durable-execution/none/none"


@pytest.fixture(scope="module")
def ended(client: Client) -> str:
    """The ARN of an execution that is over."""
    return str(client.invoke(FunctionName="order", Payload=b'{"a": 1}')["DurableExecutionArn"])


# -- one execution ---------------------------------------------------------------------------


def test_an_execution_that_succeeded(client: Client, ended: str) -> None:
    execution = client.get_durable_execution(DurableExecutionArn=ended)
    assert execution["DurableExecutionArn"] == ended
    assert execution["DurableExecutionName"] == ended.split("/")[-2]
    assert execution["FunctionArn"] == ended.partition("/")[0]
    assert execution["Status"] == "SUCCEEDED"
    assert (execution["InputPayload"], execution["Result"]) == ('{"a": 1}', '{"a": 1}')
    assert execution["Version"] == "$LATEST"
    took = execution["EndTimestamp"] - execution["StartTimestamp"]
    assert timedelta(hours=1) <= took < timedelta(hours=1, minutes=1)
    assert "Error" not in execution


def test_an_execution_that_failed(client: Client) -> None:
    arn = client.invoke(FunctionName="refused")["DurableExecutionArn"]
    execution = client.get_durable_execution(DurableExecutionArn=arn)
    assert execution["Status"] == "FAILED"
    assert execution["Error"]["ErrorType"] == "ValueError"
    assert "Result" not in execution


def test_an_execution_that_waits(
    client: Client, runner: DurableFunctionTestRunner, start: Callable[..., str]
) -> None:
    arn = start("approval")
    runner.wait_for_callback(arn)
    execution = client.get_durable_execution(DurableExecutionArn=arn)
    assert execution["Status"] == "RUNNING"
    assert not {"EndTimestamp", "Result", "Error"} & set(execution)


def test_what_another_runner_started_is_not_seen(client: Client) -> None:
    from gateway import handlers

    with DurableFunctionTestRunner(handler=handlers.approval) as other:
        handle = other.start()
        callback_id = handle.wait_for_callback()
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_durable_execution(DurableExecutionArn=handle.arn)
        with pytest.raises(client.exceptions.InvalidParameterValueException):
            client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)


@pytest.mark.parametrize(
    "operation",
    ["get_durable_execution", "get_durable_execution_history", "stop_durable_execution"],
)
def test_an_unknown_execution_is_not_found(client: Client, operation: str) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        getattr(client, operation)(DurableExecutionArn=UNKNOWN)
    assert UNKNOWN in caught.value.response["Message"]
    assert caught.value.response["Type"] == "User"


# -- history ---------------------------------------------------------------------------------

ORDER = [
    "ExecutionStarted",
    "StepStarted",
    "StepSucceeded",
    "WaitStarted",
    "InvocationCompleted",
    "WaitSucceeded",
    "StepStarted",
    "StepSucceeded",
    "InvocationCompleted",
    "ExecutionSucceeded",
]


def history(client: Client, arn: str, **given: Any) -> list[list[dict[str, Any]]]:
    """Page by page, as boto3's own paginator has them."""
    pages = client.get_paginator("get_durable_execution_history").paginate(
        DurableExecutionArn=arn, **given
    )
    return [page["Events"] for page in pages]


def test_the_history_of_an_execution(client: Client, ended: str) -> None:
    ((*events,),) = history(client, ended)
    assert [event["EventType"] for event in events] == ORDER
    assert [event["EventId"] for event in events] == list(range(1, 11))
    assert events[2]["StepSucceededDetails"]["Result"]["Payload"] == '"done"'
    assert events[3]["WaitStartedDetails"]["Duration"] == 3600


@pytest.mark.parametrize("size", [1, 3, 5, 9, 10, 1000])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_history_in_pages(client: Client, ended: str, size: int, reverse: bool) -> None:
    pages = history(client, ended, MaxItems=size, ReverseOrder=reverse)
    ids = [event["EventId"] for page in pages for event in page]
    assert ids == sorted(range(1, 11), reverse=reverse)
    assert max(map(len, pages)) == min(size, 10)
    assert all(pages)


def test_a_history_without_its_data(client: Client, ended: str) -> None:
    ((*events,),) = history(client, ended, IncludeExecutionData=False)
    assert [event["EventType"] for event in events] == ORDER
    assert events[2]["StepSucceededDetails"]["Result"] == {"Truncated": True}
    assert events[0]["ExecutionStartedDetails"]["Input"] == {"Truncated": True}


@pytest.mark.parametrize("marker", ["x", "====", "OTk=", "LTE=", "MSAx"])
def test_a_marker_of_somebody_s_own_making(client: Client, ended: str, marker: str) -> None:
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="Invalid marker"):
        client.get_durable_execution_history(DurableExecutionArn=ended, Marker=marker)
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="Invalid marker"):
        client.list_durable_executions_by_function(FunctionName="order", Marker="OTk=")


def test_a_page_is_no_larger_than_an_answer_may_be(
    client: Client, runner: DurableFunctionTestRunner
) -> None:
    arn = client.invoke(FunctionName="order", Payload=b'"' + b"x" * 600_000 + b'"')[
        "DurableExecutionArn"
    ]
    pages = history(client, arn)
    assert len(pages) == 2
    assert [event["EventType"] for page in pages for event in page] == ORDER


# -- all executions of a function ------------------------------------------------------------


@pytest.fixture(scope="module")
def three(runner: DurableFunctionTestRunner, client: Client) -> list[str]:
    """ARNs of the only executions of a function, in order: one ended, one stopped, one open."""
    from gateway import handlers

    runner.register_durable_function("listed", handlers.approval)
    arns = []
    for name in ("one", "two", "three"):
        answer = client.invoke(
            FunctionName="listed", InvocationType="Event", DurableExecutionName=name
        )
        arns.append(answer["DurableExecutionArn"])
        callback_id = runner.wait_for_callback(arns[-1])
        if name == "one":
            client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"1")
            runner.wait_for_result(arns[-1])
        if name == "two":
            client.stop_durable_execution(DurableExecutionArn=arns[-1])
    return arns


def listed(client: Client, **given: Any) -> list[str]:
    pages = client.get_paginator("list_durable_executions_by_function").paginate(
        **{"FunctionName": "listed", **given}
    )
    return [each["DurableExecutionArn"] for page in pages for each in page["DurableExecutions"]]


def test_the_executions_of_a_function(client: Client, three: list[str]) -> None:
    assert listed(client) == three
    assert listed(client, ReverseOrder=True) == three[::-1]
    assert listed(client, Qualifier="$LATEST") == three
    answer = client.list_durable_executions_by_function(FunctionName="listed")
    first, _, last = answer["DurableExecutions"]
    assert (first["Status"], last["Status"]) == ("SUCCEEDED", "RUNNING")
    assert first["DurableExecutionName"] == "one"
    assert "EndTimestamp" in first
    assert "EndTimestamp" not in last
    assert "NextMarker" not in answer


def test_a_function_has_the_executions_of_its_aliases(
    runner: DurableFunctionTestRunner, client: Client
) -> None:
    from gateway import handlers

    for name in ("aliased", "aliased:live", "alias"):
        runner.register_durable_function(name, handlers.approval)
    bare, aliased, _ = [
        client.invoke(FunctionName=name, InvocationType="Event")["DurableExecutionArn"]
        for name in ("aliased", "aliased:live", "alias")
    ]
    assert listed(client, FunctionName="aliased") == [bare, aliased]
    assert listed(client, FunctionName="aliased", Qualifier="live") == [aliased]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_executions_in_pages(client: Client, three: list[str], size: int, reverse: bool) -> None:
    found = listed(client, MaxItems=size, ReverseOrder=reverse)
    assert found == (three[::-1] if reverse else three)


def test_executions_by_name_and_status(client: Client, three: list[str]) -> None:
    assert listed(client, DurableExecutionName="two") == three[1:2]
    assert listed(client, DurableExecutionName="tw") == []
    assert listed(client, Statuses=["RUNNING"]) == three[2:]
    assert listed(client, Statuses=["SUCCEEDED", "STOPPED"]) == three[:2]
    assert listed(client, Statuses=["TIMED_OUT"]) == []
    assert listed(client, Statuses=["STOPPED"], DurableExecutionName="one") == []


def test_executions_by_time(client: Client, three: list[str]) -> None:
    answer = client.list_durable_executions_by_function(FunctionName="listed")
    began = [each["StartTimestamp"] for each in answer["DurableExecutions"]]
    moment = timedelta(milliseconds=1)
    assert listed(client, StartedAfter=began[0]) == three[1:]
    assert listed(client, StartedBefore=began[2]) == three[:2]
    assert (
        listed(client, StartedAfter=began[0] - moment, StartedBefore=began[0] + moment)
        == (three[:1])
    )
    assert listed(client, StartedBefore=datetime(2020, 1, 1, tzinfo=UTC)) == []


def test_one_that_begins_between_two_pages_moves_nothing(
    client: Client, runner: DurableFunctionTestRunner
) -> None:
    from gateway import handlers

    runner.register_durable_function("growing", handlers.approval)

    def begin() -> str:
        answer = client.invoke(FunctionName="growing", InvocationType="Event")
        return str(answer["DurableExecutionArn"])

    older = [begin(), begin()]

    def page(**given: Any) -> tuple[list[str], dict[str, str]]:
        answer = client.list_durable_executions_by_function(
            FunctionName="growing", MaxItems=1, ReverseOrder=True, **given
        )
        marker = answer.get("NextMarker")
        arns = [each["DurableExecutionArn"] for each in answer["DurableExecutions"]]
        return arns, {"Marker": marker} if marker else {}

    first, marker = page()
    begin()
    second, marker = page(**marker)
    assert [*first, *second] == older[::-1]
    assert not marker


def test_an_unknown_function_has_no_executions(client: Client) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.list_durable_executions_by_function(FunctionName="missing")


# -- stopping --------------------------------------------------------------------------------


def test_an_execution_is_stopped(
    client: Client, runner: DurableFunctionTestRunner, start: Callable[..., str]
) -> None:
    arn = start("approval")
    callback_id = runner.wait_for_callback(arn)
    error = {
        "ErrorType": "Enough",
        "ErrorMessage": "of this",
        "ErrorData": "{}",
        "StackTrace": ["here", "there"],
    }
    stopped = client.stop_durable_execution(DurableExecutionArn=arn, Error=error)
    execution = client.get_durable_execution(DurableExecutionArn=arn)
    assert execution["Status"] == "STOPPED"
    assert execution["Error"] == error
    assert execution["EndTimestamp"] == stopped["StopTimestamp"]
    ((*events,),) = history(client, arn)
    # The invocation that opened the callback may end after it.
    (event,) = [each for each in events if each["EventType"] == "ExecutionStopped"]
    assert event["ExecutionStoppedDetails"]["Error"]["Payload"] == error
    again = client.stop_durable_execution(DurableExecutionArn=arn)
    assert again["StopTimestamp"] == stopped["StopTimestamp"]
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.send_durable_execution_callback_success(CallbackId=callback_id)


def test_an_execution_is_stopped_without_a_reason(
    client: Client, start: Callable[..., str]
) -> None:
    arn = start("approval")
    assert client.stop_durable_execution(DurableExecutionArn=arn)["StopTimestamp"]
    assert client.get_durable_execution(DurableExecutionArn=arn)["Status"] == "STOPPED"
