from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from async_durable_execution import durable_execution, step, wait

from async_durable_execution_runner import ledger


async def _one() -> int:
    return 1


@durable_execution
async def charges(event: dict) -> int:
    """Five effects, each in a step of its own, and a wait."""

    def charge(number: int) -> Callable[[], Awaitable[int]]:
        async def body() -> int:
            ledger.record("charge", key=[event["id"], number])
            return number

        return body

    total = 0
    for number in range(5):
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
    return {"parent": os.getppid(), "environment": environment, "id": event.get("id")}


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
