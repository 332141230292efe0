"""The official SDK's handlers wherever ours go: pytest, served, in other isolations, in chains."""

from __future__ import annotations

import importlib
import json
import re
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import async_durable_execution as other
import pytest
from serving.process import client, serving

from async_durable_execution_runner import DurableFunctionTestRunner, InvocationStatus, ledger

pytest.importorskip(
    "aws_durable_execution_sdk_python", reason="the official SDK, the extra [aws], is not installed"
)

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import CallbackConfig, Duration
from aws_durable_execution_sdk_python.exceptions import CallbackError

pytestmark = pytest.mark.processes
pytest_plugins = ["pytester"]


def quick_start() -> str:
    """The handler that the SDK's own description begins with, as it is installed."""
    description = metadata("aws-durable-execution-sdk-python").get_payload()
    assert isinstance(description, str)
    (code,) = re.findall(r"```python\n(.*?)```", description.partition("Quick Start")[2], re.DOTALL)
    return str(code)


@pytest.mark.parametrize("isolation", ["worker", "execution", "invocation", "inline"])
def test_the_quick_start_runs_as_it_stands(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    isolation: str,
) -> None:
    caplog.set_level("INFO")
    name = f"quick_start_{isolation}"
    (tmp_path / f"{name}.py").write_text(quick_start())
    monkeypatch.syspath_prepend(tmp_path)
    handler = importlib.import_module(name).handler
    with DurableFunctionTestRunner(handler, workers=1, isolation=isolation) as runner:
        result = runner.run({"order_id": "o-1"})
    assert result.get_deserialized_result() == {"status": "approved", "order_id": "o-1"}
    assert result.get_step("validate_order").status is other.OperationStatus.SUCCEEDED
    assert result.get_wait("await_confirmation").status is other.OperationStatus.SUCCEEDED
    assert len(result.invocations) == 2
    assert result.divergences == []
    said = [line.text for each in result.invocations for line in each.lines]
    assert [text for text in said if text in ("Starting workflow", "Validating order")] == [
        *("Starting workflow", "Validating order")
    ]


def test_the_quick_start_is_served_to_boto3(tmp_path: Path) -> None:
    (tmp_path / "quick_start.py").write_text(quick_start())
    with serving(
        tmp_path, "--function=Order=quick_start:handler", "--skip-time", "--workers=1"
    ) as (
        _,
        said,
        url,
    ):
        assert "Order  quick_start:handler  durable" in said
        aws = client(url)
        answer = aws.invoke(FunctionName="Order", Payload=b'{"order_id": "o-1"}')
        assert json.load(answer["Payload"]) == {"status": "approved", "order_id": "o-1"}
        arn = answer["DurableExecutionArn"]
        events = aws.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
    assert [each["EventType"] for each in events] == [
        "ExecutionStarted",
        "StepStarted",
        "StepSucceeded",
        "WaitStarted",
        "InvocationCompleted",
        "WaitSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


def test_the_fixture_of_pytest_takes_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(quick_start=quick_start())
    pytester.makepyfile(
        """
        import quick_start, pytest

        @pytest.mark.durable(quick_start.handler, workers=1, function_name="Order")
        def test_order(durable_runner):
            result = durable_runner.run({"order_id": "o-1"})
            assert result.get_deserialized_result()["status"] == "approved"
            assert result.function_name == "Order"
        """
    )
    # In a process of its own, as the shared processes of ours are not its to close.
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=1)


# -- state that comes in pages ---------------------------------------------------------------


@durable_execution
def remembers_much(event: Any, context: DurableContext) -> int:
    parts = [context.step(lambda _: "x" * 250_000, name=f"part {n}") for n in range(30)]
    context.wait(Duration.from_seconds(60))
    return sum(map(len, parts))


def test_a_state_of_several_pages_is_replayed() -> None:
    with DurableFunctionTestRunner(remembers_much, workers=1) as runner:
        result = runner.run({})
    assert result.result == "7500000"
    assert [each.outcome for each in result.invocations] == ["PENDING", "SUCCEEDED"]
    assert result.divergences == []


# -- callbacks -------------------------------------------------------------------------------


@durable_execution
def asks_for_approval(event: Any, context: DurableContext) -> str:
    config = CallbackConfig(
        timeout=Duration.from_hours(2), heartbeat_timeout=Duration.from_hours(1)
    )
    callback = context.create_callback(name="approval", config=config)
    try:
        return f"answered {callback.result()}"
    except CallbackError as error:
        return f"refused: {error}"


@pytest.mark.parametrize("isolation", ["worker", "execution", "inline"])
def test_a_callback_is_answered_refused_or_runs_out(isolation: str) -> None:
    with DurableFunctionTestRunner(asks_for_approval, workers=1, isolation=isolation) as runner:
        answered = runner.start({})
        runner.send_callback_success(answered.wait_for_callback("approval"), "yes")
        assert answered.result().result == '"answered yes"'
        refused = runner.start({})
        error = ValueError("no credit")
        runner.send_callback_failure(refused.wait_for_callback("approval"), error)
        assert refused.result().result == '"refused: no credit"'
        silent = runner.start({}).result()
        assert silent.result == '"refused: Callback timed out on heartbeat"'
    (operation,) = (each for each in silent.operations if each.name == "approval")
    assert operation.status is other.OperationStatus.TIMED_OUT


# -- chains of both SDKs ---------------------------------------------------------------------


@durable_execution
def official(event: dict, context: DurableContext) -> list[Any]:
    context.step(lambda _: ledger.record("official"), name="mark")
    if event["left"]:
        return ["official", *context.invoke("asynchronous", {"left": event["left"] - 1})]
    return ["official"]


@other.durable_execution
async def asynchronous(event: dict) -> list[Any]:
    async def mark() -> None:
        ledger.record("asynchronous")

    await other.step(mark, name="mark")
    if event["left"]:
        return ["asynchronous", *await other.invoke("official", {"left": event["left"] - 1})]
    return ["asynchronous"]


@pytest.mark.parametrize("isolation", ["worker", "inline"])
@pytest.mark.parametrize("first", [official, asynchronous], ids=["official", "asynchronous"])
def test_functions_of_both_sdks_invoke_each_other(first: Any, isolation: str) -> None:
    names = ["official", "asynchronous"] if first is official else ["asynchronous", "official"]
    with DurableFunctionTestRunner(
        first, function_name=names[0], workers=2, isolation=isolation
    ) as runner:
        runner.register_durable_function("asynchronous", asynchronous)
        runner.register_durable_function("official", official)
        result = runner.run({"left": 3})
    assert result.status is InvocationStatus.SUCCEEDED, result.describe()
    assert result.get_deserialized_result() == names * 2
    assert [each.name for each in result.ledger] == names * 2
    assert {each.operation_name for each in result.ledger} == {"mark"}


def test_the_other_sdk_s_function_runs_once_though_its_caller_dies() -> None:
    with DurableFunctionTestRunner(official, workers=2) as runner:
        runner.register_durable_function("asynchronous", asynchronous)
        result = runner.run({"left": 1}, faults="kill@after-commit:type=CHAINED_INVOKE")
    assert result.get_deserialized_result() == ["official", "asynchronous"]
    assert [each.name for each in result.ledger] == ["official", "asynchronous"]
