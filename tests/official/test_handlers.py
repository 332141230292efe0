"""The official SDK's handlers run like the others: results, histories, faults, ledger, AWS API."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import async_durable_execution as other
import boto3
import pytest

from async_durable_execution_runner import DurableFunctionTestRunner

pytest.importorskip(
    "aws_durable_execution_sdk_python", reason="the official SDK, the extra [aws], is not installed"
)

from . import handlers

pytestmark = pytest.mark.processes

ORDERED = '["charged", "packed"]'
SDK = tuple(int(part) for part in version("aws-durable-execution-sdk-python").split(".")[:3])


@pytest.fixture(params=["worker", "invocation", "inline"])
def isolation(request: pytest.FixtureRequest) -> str:
    return request.param


def run(handler: Any, input: Any = None, **options: Any) -> Any:
    with DurableFunctionTestRunner(handler, workers=2) as runner:
        return runner.run(input or {}, **options)


def test_workers_are_forked_with_the_sdk_once_a_handler_needs_it() -> None:
    @other.durable_execution
    async def seen(event: Any) -> bool:
        return "aws_durable_execution_sdk_python" in sys.modules

    # With listen= it has processes of its own.
    how = {"isolation": "invocation", "workers": 1, "listen": "127.0.0.1:0"}
    with DurableFunctionTestRunner(seen, **how) as runner:
        before = runner.run({}).get_deserialized_result()
        runner.register_durable_function("order", handlers.order)
        after = runner.run({}).get_deserialized_result()
    assert (before, after) == (False, True)


def test_step_wait_and_child_context(isolation: str) -> None:
    with DurableFunctionTestRunner(handlers.order, workers=2, isolation=isolation) as runner:
        result = runner.run({})
    assert result.result == ORDERED
    assert len(result.invocations) == 2
    assert result.get_step("charge").result == '"charged"'
    assert result.get_context("pack").get_step("box").result == '"packed"'
    result.ledger.assert_effect_once("charge", key="o-1")
    (effect,) = result.ledger
    assert (effect.operation_name, effect.attempt, effect.outside_step) == ("charge", 1, False)


@pytest.mark.parametrize("isolation", ["worker", "inline"])
def test_map_parallel_callback_and_invoke(isolation: str) -> None:
    with DurableFunctionTestRunner(handlers.every, workers=2, isolation=isolation) as runner:
        runner.register_function("double", handlers.double)
        execution = runner.start({})
        runner.send_callback_success(execution.wait_for_callback("approval"), "yes")
        result = execution.result()
    assert json.loads(result.result) == {
        "squares": [1, 4, 9],
        "words": ["a", "b"],
        "approval": "yes",
        "invoked": 42,
    }
    batches = [each for each in result.operations if each.kind == "context"]
    assert [each.deserialized_result.get_results() for each in batches] == [[1, 4, 9], ["a", "b"]]
    assert " [1, 4, 9]\n" in result.describe()


def test_every_crash_point() -> None:
    with DurableFunctionTestRunner(handlers.order, workers=2) as runner:
        report = runner.explore_crashes({})
    report.assert_ok()
    assert report.clean.result == ORDERED
    tried = [run.faults for run in report.runs]
    assert ("kill@effect:1",) in tried
    assert ("kill@after-commit:1",) in tried


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("kill@after-commit:1", "Runtime.ExitError"),
        ("kill@before-commit:2", "Runtime.ExitError"),
        ("exit@before-commit:1", "Runtime.ExitError"),
        ("cut@before-commit:1", "CheckpointError"),
    ],
)
def test_a_planned_fault(fault: str, expected: str) -> None:
    result = run(handlers.order, faults=fault)
    assert result.result == ORDERED
    assert [each.error and each.error.type for each in result.invocations] == [expected, None, None]


def test_a_stale_token_ends_the_execution_as_this_sdk_has_it_on_lambda() -> None:
    """Releases before 1.5 and from 2.0.1 on take it for an error of the invocation, and those
    between do not know the service's text."""
    result = run(handlers.order, faults="fail=InvalidParameterValueException@before-commit:2")
    outcomes = [each.outcome for each in result.invocations]
    if (1, 5) <= SDK < (2, 0, 1):
        assert (result.status, outcomes) == ("FAILED", ["FAILED"])
    else:
        assert (result.result, outcomes) == (ORDERED, ["ERROR", "PENDING", "SUCCEEDED"])


@other.durable_execution
async def named(event: Any) -> str:
    async def one() -> str:
        return "done"

    return await other.step(one, name=event["name"])


@pytest.mark.parametrize("handler", [named, handlers.named], ids=["async", "official"])
def test_a_name_that_lambda_does_not_take_fails_the_execution(handler: Any) -> None:
    with DurableFunctionTestRunner(handler, workers=1) as runner:
        for name, why in [
            ("café", r"Value 'café' at 'updates.1.member.name' failed to satisfy constraint"),
            ("half a \ud83d", "The value of Name is not Unicode text."),
        ]:
            result = runner.run({"name": name})
            assert result.status.value == "FAILED"
            assert result.error is not None
            assert why in (result.error.message or "")


@pytest.mark.skipif(
    "attempt" not in handlers.StepContext.__annotations__,
    reason="this release of the SDK does not tell a step its attempt",
)
@pytest.mark.parametrize(
    ("semantics", "expected"),
    [("AT_LEAST_ONCE_PER_RETRY", '"attempt 1"'), ("AT_MOST_ONCE_PER_RETRY", '"attempt 2"')],
)
def test_a_crash_in_a_step(tmp_path: Path, semantics: str, expected: str) -> None:
    result = run(handlers.crashes, {"marker": str(tmp_path / "died"), "semantics": semantics})
    assert result.result == expected
    assert result.invocations[0].error is not None


@pytest.mark.parametrize("size", [300_000, 6_291_440])
def test_a_large_result(size: int) -> None:
    assert len(json.loads(run(handlers.large, {"size": size}).result)) == size


def test_a_result_that_the_service_refuses() -> None:
    error = run(handlers.large, {"size": 7_000_000}).error
    assert "must be less than or equal to 6291456 bytes" in error.message


def test_an_error() -> None:
    error = run(handlers.fails).error
    assert (error.type, error.message) == ("ValueError", "no such order")


def test_behind_the_aws_api() -> None:
    with DurableFunctionTestRunner(handlers.order, workers=2) as runner:
        url = runner.serve_aws_api()
        client = boto3.client(
            "lambda",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        answer = client.invoke(FunctionName="order", Qualifier="$LATEST", Payload=b"{}")
        assert json.load(answer["Payload"]) == ["charged", "packed"]


def test_a_handler_that_cannot_be_imported() -> None:
    from aws_durable_execution_sdk_python import durable_execution

    said = "from afar"

    @durable_execution
    def closure(event: Any, context: Any) -> str:
        return context.step(lambda _: said, name="say")

    assert run(closure).result == '"from afar"'


def test_nobody_imports_it_who_does_not_need_it() -> None:
    code = (
        "import sys; from async_durable_execution_runner.cli import demo; "
        "from async_durable_execution_runner.worker import process, loading; "
        "from async_durable_execution_runner.worker.sdk import async_client; "
        "loading.is_durable(demo.order_workflow); "
        "print([n for n in sys.modules if n.startswith('aws_durable')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
