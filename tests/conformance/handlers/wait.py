"""Suite 2: waits."""

from __future__ import annotations

from datetime import timedelta

from async_durable_execution import durable_execution, wait


@durable_execution
async def once(event: None) -> None:
    await wait(2)


@durable_execution
async def twice(event: None) -> dict[str, int]:
    await wait(2, name="wait-1")
    await wait(2, name="wait-2")
    return {"completedWaits": 2}


@durable_execution
async def a_minute(event: None) -> None:
    await wait(timedelta(minutes=1))


CASES = {"2-1": once, "2-3": twice, "2-4": a_minute}
