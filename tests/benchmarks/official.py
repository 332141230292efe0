"""The handler of `handlers.py` that AWS's runner runs, written for the official SDK."""

from __future__ import annotations

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration


@durable_execution
def steps_and_wait(event: dict, context: DurableContext) -> int:
    total = 0
    for number in range(event["steps"]):
        total += context.step(lambda _: 1, name=f"step-{number}")
    context.wait(Duration.from_seconds(1), name="pause")
    return total
