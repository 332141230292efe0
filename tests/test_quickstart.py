"""The quick start of the earlier package, with one import changed (of `InvocationStatus`)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from async_durable_execution import (
    durable_callable,
    durable_execution,
    run_in_child_context,
    step,
    wait,
)

from async_durable_execution_runner import InvocationStatus
from async_durable_execution_runner.runner import (
    ContextOperation,
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
    StepOperation,
)

pytestmark = pytest.mark.processes


@durable_callable
async def one(a: int, b: int) -> str:
    return f"{a} {b}"


@durable_callable
async def two_1(a: int, b: int) -> str:
    return f"{a} {b}"


@durable_callable
async def two_2(a: int, b: int) -> str:
    return f"{b} {a}"


@durable_callable
async def two(a: int, b: int) -> str:
    two_1_result = await step(two_1(a, b), name="two_1")
    two_2_result = await step(two_2(a, b), name="two_2")
    return f"{two_1_result} {two_2_result}"


@durable_callable
async def three(a: int, b: int) -> str:
    return f"{a} {b}"


@durable_execution
async def function_under_test(event: Any) -> list[str]:
    results = [await step(one(1, 2), name="one")]
    await wait(timedelta(seconds=1))
    results.append(await run_in_child_context(two(3, 4), name="two"))
    results.append(await step(three(5, 6), name="three"))
    return results


def test_my_durable_functions() -> None:
    with DurableFunctionTestRunner(handler=function_under_test) as runner:
        result: DurableFunctionTestResult = runner.run(input="input str", timeout=10)

    assert result.status is InvocationStatus.SUCCEEDED
    assert result.result == json.dumps(["1 2", "3 4 4 3", "5 6"])

    one_result: StepOperation = result.get_step("one")
    assert one_result.result == json.dumps("1 2")

    two_result: ContextOperation = result.get_context("two")
    assert two_result.result == json.dumps("3 4 4 3")

    three_result: StepOperation = result.get_step("three")
    assert three_result.result == json.dumps("5 6")
