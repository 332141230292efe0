"""Handlers in the official SDK."""

from __future__ import annotations

import os
import signal

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration, StepConfig, StepSemantics
from aws_durable_execution_sdk_python.retries import RetryDecision

from async_durable_execution_runner import ledger


def charge(_: StepContext) -> str:
    ledger.record("charge", key="o-1", amount=5)
    return "charged"


@durable_execution
def order(event: dict, context: DurableContext) -> list[str]:
    charged = context.step(charge, name="charge")
    context.wait(Duration.from_seconds(10), name="cool off")
    packed = context.run_in_child_context(pack, name="pack")
    return [charged, packed]


def pack(context: DurableContext) -> str:
    return context.step(lambda _: "packed", name="box")


@durable_execution
def every(event: dict, context: DurableContext) -> dict:
    squares = context.map([1, 2, 3], lambda child, n, index, items: child.step(lambda _: n * n))
    words = context.parallel([lambda child: child.step(lambda _: "a"), lambda child: "b"])
    callback = context.create_callback(name="approval")
    return {
        "squares": squares.get_results(),
        "words": words.get_results(),
        "approval": callback.result(),
        "invoked": context.invoke("double", 21, name="double"),
    }


def double(event: int, context: object) -> int:
    return event * 2


@durable_execution
def crashes(event: dict, context: DurableContext) -> str:
    """Dies in its step the first time; with at-most-once, that attempt is over."""

    def body(step: StepContext) -> str:
        if not os.path.exists(event["marker"]):
            with open(event["marker"], "w"):
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        return f"attempt {step.attempt}"

    config = StepConfig(
        step_semantics=StepSemantics[event["semantics"]],
        retry_strategy=lambda error, attempt: RetryDecision.retry(Duration.from_seconds(2)),
    )
    return context.step(body, name="body", config=config)


@durable_execution
def named(event: dict, context: DurableContext) -> str:
    return context.step(lambda _: "done", name=event["name"])


@durable_execution
def large(event: dict, context: DurableContext) -> str:
    return "x" * event["size"]


@durable_execution
def fails(event: dict, context: DurableContext) -> None:
    raise ValueError("no such order")
