from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from async_durable_execution import (
    CallableRuntimeError,
    RetryStrategy,
    StepInterruptedError,
    StepSemantics,
    durable_execution,
    step,
    wait,
)

from async_durable_execution_runner import ledger


async def _one() -> int:
    return 1


@durable_execution
async def charges(event: dict) -> int:
    """Five effects, each in a step of its own, of which "charge 1" is run at most once; and a
    wait."""

    def charge(number: int) -> Callable[[], Awaitable[int]]:
        async def body() -> int:
            ledger.record("charge", key=[event["id"], number])
            return number

        return body

    total = 0
    for number in range(5):
        if number == 1:
            await _at_most_once(charge(number), "charge 1")
            total += number
        else:
            total += await step(charge(number), name=f"charge {number}")
        if number == 2:
            await wait(timedelta(days=1), name="cooling-off")
    return total


@durable_execution
async def order(event: dict) -> dict:
    """A step, a wait, a step; what the handler's process knows of the coordinator."""
    await step(_one, name="charge")
    await wait(timedelta(days=1), name="cooling-off")
    await step(_one, name="ship")
    environment = Path("/proc/self/environ").read_bytes().decode(errors="replace")
    files = [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]
    return {
        "parent": os.getppid(),
        "environment": environment,
        "files": files,
        "id": event.get("id"),
    }


@durable_execution
async def patient(event: dict) -> str:
    """Say through a FIFO that the step has begun, and end when another FIFO says so."""

    async def body() -> str:
        Path(event["begun"]).write_text("begun")
        return Path(event["go"]).read_text()

    return await step(body, name="wait for a word")


@durable_execution
async def returning(event: dict) -> list[int]:
    """Say and wait as `patient` does, then be suspended; the processes that it has run in."""

    async def begin() -> int:
        Path(event["begun"]).write_text("begun")
        Path(event["go"]).read_text()
        return os.getpid()

    first = await step(begin, name="begin")
    await wait(timedelta(days=1), name="cooling-off")
    return [first, os.getpid()]


@durable_execution
async def until_told(event: dict) -> int:
    """Say through a FIFO that the step has begun, and end when there is a byte in another FIFO."""

    async def body() -> int:
        with open(event["begun"], "ab", buffering=0) as begun:
            begun.write(b"%d\n" % event["id"])
        with open(event["go"], "rb", buffering=0) as go:
            go.read(1)
        return event["id"]

    return await step(body, name="wait for a byte")


@durable_execution
async def late(event: dict) -> str:
    """Record an effect in a step that is run at most once, and say through a FIFO in which process
    that is; when another FIFO says so, record a second effect, and say through a third that it is
    recorded."""

    async def body() -> str:
        ledger.record("early")
        Path(event["begun"]).write_text(str(os.getpid()))
        Path(event["go"]).read_text()
        ledger.record("late")
        Path(event["recorded"]).write_text("recorded")
        return "whole"

    return await _at_most_once(body, "late") or "interrupted"


async def _at_most_once(body: Callable[[], Awaitable[Any]], name: str) -> Any:
    """The result of a step; None where it was interrupted, as it is not run again."""
    try:
        return await step(
            body,
            name=name,
            step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
            retry_strategy=RetryStrategy.none(),
        )
    except (StepInterruptedError, CallableRuntimeError):
        return None
