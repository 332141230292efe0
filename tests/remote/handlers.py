from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from async_durable_execution import durable_execution, step, wait


async def _one() -> int:
    return 1


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
    """Say by a file that the step has begun, and end when another file is there."""

    async def body() -> str:
        Path(event["begun"]).touch()
        while not Path(event["go"]).exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
        return "done"

    return await step(body, name="wait for a file")
