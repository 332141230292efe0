"""Effects in the official SDK's handlers: whose they are, and the faults that strike at them."""

from __future__ import annotations

from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner, ledger

pytest.importorskip(
    "aws_durable_execution_sdk_python", reason="the official SDK, the extra [aws], is not installed"
)

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration, StepConfig
from aws_durable_execution_sdk_python.retries import RetryDecision
from aws_durable_execution_sdk_python.waits import (
    WaitForConditionConfig,
    WaitForConditionDecision,
)

from . import handlers

pytestmark = pytest.mark.processes


@durable_execution
def everywhere(event: Any, context: DurableContext) -> None:
    ledger.record("in the handler")
    context.step(lambda _: ledger.record("in a step"), name="charge")
    context.step(lambda _: ledger.record("in a step without a name"))
    ledger.record("after a step")
    context.run_in_child_context(in_a_child_context, name="child")
    context.map(["item"], in_a_branch, name="batch")
    config = WaitForConditionConfig(lambda *_: WaitForConditionDecision.stop_polling(), None)
    context.wait_for_condition(
        lambda *_: ledger.record("in a check"), config=config, name="condition"
    )
    context.wait_for_callback(lambda *_: ledger.record("in a submitter"), name="approval")


def in_a_child_context(child: DurableContext) -> None:
    ledger.record("in a child context")
    child.step(lambda _: ledger.record("in its step"), name="inner")


def in_a_branch(child: DurableContext, *_: Any) -> None:
    ledger.record("in a branch")
    child.step(lambda _: ledger.record("in a branch's step"), name="of the branch")


@pytest.mark.parametrize("isolation", ["worker", "inline"])
def test_an_effect_has_the_operation_that_it_is_a_part_of(isolation: str) -> None:
    with DurableFunctionTestRunner(everywhere, workers=1, isolation=isolation) as runner:
        execution = runner.start({})
        callback_id = execution.wait_for_callback("approval")
        execution.run_until_suspended()
        runner.send_callback_success(callback_id, "yes")
        result = execution.result()
    (batch,) = result.get_context("batch").child_operations
    first = [each for each in result.ledger if each.invocation == 1]
    assert {
        each.name: (each.operation_name, each.attempt, each.outside_step) for each in first
    } == {
        "in the handler": (None, None, True),
        "in a step": ("charge", 1, False),
        "in a step without a name": (None, 1, False),
        "after a step": (None, None, True),
        "in a child context": ("child", None, True),
        "in its step": ("inner", 1, False),
        "in a branch": (batch.name, None, True),
        "in a branch's step": ("of the branch", 1, False),
        "in a check": ("condition", 1, False),
        "in a submitter": ("approval submitter", 1, False),
    }
    (charge,) = result.ledger.named("in a step")
    assert charge.operation_id == result.get_step("charge").operation_id
    assert [each.name for each in result.ledger if each.invocation > 1] == [
        *("in the handler", "after a step")
    ]


@durable_execution
def insists(event: Any, context: DurableContext) -> None:
    def charge(_: Any) -> None:
        ledger.record("charge", key="o-1")
        if len(tries) < 2:
            raise ConnectionError("busy")

    tries: list[None] = []

    def again(error: Exception, attempt: int) -> RetryDecision:
        delay = Duration.from_seconds(1)
        return RetryDecision.retry(delay) if attempt < 3 else RetryDecision.no_retry()

    context.step(charge, name="charge", config=StepConfig(retry_strategy=again))


def test_every_attempt_of_a_step_is_told_apart() -> None:
    with DurableFunctionTestRunner(insists, workers=1) as runner:
        result = runner.run({})
    assert [each.attempt for each in result.ledger] == [1, 2, 3]
    result.ledger.assert_idempotent()


@pytest.mark.parametrize("fault", ["kill@effect:1", "kill@before-commit:name=charge"])
def test_a_death_in_a_step_repeats_its_effect(fault: str) -> None:
    with DurableFunctionTestRunner(handlers.order, workers=2) as runner:
        result = runner.run({}, faults=fault)
    assert result.result == '["charged", "packed"]'
    assert [each.operation_name for each in result.ledger] == ["charge", "charge"]
    result.ledger.assert_idempotent()
    with pytest.raises(AssertionError, match="happened 2 times, not once"):
        result.ledger.assert_effect_once("charge")


@durable_execution
def pays_under_another_key(event: Any, context: DurableContext) -> None:
    context.step(
        lambda _: ledger.record("charge", key=context.lambda_context.aws_request_id), name="charge"
    )


def test_a_repetition_under_another_key_is_none() -> None:
    with DurableFunctionTestRunner(pays_under_another_key, workers=2) as runner:
        result = runner.run({}, faults="kill@effect:1")
    with pytest.raises(AssertionError, match="was repeated with another 'key'"):
        result.ledger.assert_idempotent()


@durable_execution
def pays_each(event: Any, context: DurableContext) -> None:
    context.step(lambda _: ledger.record("charge", key=event), name="charge")


def test_many_inline_at_once_each_have_their_own() -> None:
    with DurableFunctionTestRunner(pays_each, workers=4, isolation="inline") as runner:
        results = runner.run_many(range(20))
    assert [[each.key for each in result.ledger] for result in results] == [
        [number] for number in range(20)
    ]


# -- planted bugs ----------------------------------------------------------------------------


@durable_execution
def charges_twice(event: Any, context: DurableContext) -> None:
    context.step(lambda _: ledger.record("charge"), name="charge")


@durable_execution
def charges_under_one_key(event: Any, context: DurableContext) -> None:
    context.step(lambda _: ledger.record("charge", key="o-1"), name="charge")


def test_a_double_charge_is_found_at_the_points_where_it_happens() -> None:
    with DurableFunctionTestRunner(charges_twice, workers=2) as runner:
        report = runner.explore_crashes({})
    assert {run.faults for run in report.failures} >= {
        ("kill@effect:1",),
        ("kill@before-commit:1",),
    }
    assert "charge happened twice (in the clean run once)" in str(report)


def test_its_twin_with_a_key_passes() -> None:
    with DurableFunctionTestRunner(charges_under_one_key, workers=2) as runner:
        runner.explore_crashes({}).assert_ok()
