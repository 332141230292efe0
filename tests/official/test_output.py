"""What the official SDK's handlers print and log, on whatever thread, is in the result."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestResult, DurableFunctionTestRunner

pytest.importorskip(
    "aws_durable_execution_sdk_python", reason="the official SDK, the extra [aws], is not installed"
)

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration

pytestmark = pytest.mark.processes


@durable_execution
def talkative(event: Any, context: DurableContext) -> None:
    """Waits at the end, so that what stands outside of steps is said twice."""
    print("handler", event)

    def in_step(step: StepContext) -> None:
        print("step", event)
        step.logger.warning("the step's logger %s", event)
        logging.getLogger("orders").warning("a logger %s", event)
        thread = threading.Thread(target=print, args=("thread", event))
        thread.start()
        thread.join()

    context.step(in_step, name="step")
    context.run_in_child_context(lambda _: print("child", event), name="child")
    context.wait(Duration.from_seconds(60))


def said(result: DurableFunctionTestResult) -> list[list[str]]:
    return [[line.text for line in each.lines] for each in result.invocations]


def expected(event: int) -> list[list[str]]:
    step = ["step", "the step's logger", "a logger", "thread"]
    return [
        [f"{what} {event}" for what in ("handler", *step, "child")],
        [f"handler {event}"],
    ]


@pytest.mark.parametrize("isolation", ["worker", "inline"])
def test_every_line_is_in_the_invocation_that_wrote_it(isolation: str) -> None:
    with DurableFunctionTestRunner(talkative, workers=1, isolation=isolation) as runner:
        assert said(runner.run(7)) == expected(7)


def test_many_inline_at_once_each_have_their_own() -> None:
    with DurableFunctionTestRunner(talkative, workers=4, isolation="inline") as runner:
        results = runner.run_many(range(12))
    assert [said(result) for result in results] == [expected(event) for event in range(12)]


meeting = threading.Barrier(2)


@durable_execution
def in_chorus(event: Any, context: DurableContext) -> None:
    """Two branches, and each has begun a line when the other ends its own."""

    def branch(child: DurableContext, name: str, *_: Any) -> None:
        def sing(_: Any) -> None:
            for _ in range(20):
                print(name, end=" ")
                meeting.wait(10)
                print(name)
                meeting.wait(10)

        child.step(sing, name=name)

    context.map(["a", "b"], branch)


def test_lines_of_threads_that_print_at_once_stay_whole_inline() -> None:
    with DurableFunctionTestRunner(in_chorus, workers=1, isolation="inline") as runner:
        (lines,) = said(runner.run({}))
    assert sorted(lines) == ["a a"] * 20 + ["b b"] * 20
