"""What is measured: handlers of n steps, and probes inside the worker."""

from __future__ import annotations

import os
import statistics
import sys
import time
from datetime import timedelta
from typing import Any

from async_durable_execution import create_callback, durable_execution, step, wait


async def _one() -> int:
    return 1


async def steps_of(count: int) -> int:
    total = 0
    for number in range(count):
        total += await step(_one, name=f"step-{number}")
    return total


@durable_execution
async def steps(event: dict) -> int:
    return await steps_of(event["steps"])


@durable_execution
async def steps_and_wait(event: dict) -> int:
    total = 0
    for number in range(event["steps"]):
        total += await step(_one, name=f"step-{number}")
    await wait(timedelta(seconds=1), name="pause")
    return total


@durable_execution
async def steps_or_callback(event: dict) -> int:
    """So many steps, or where there are none a callback that nobody answers."""
    if event["steps"]:
        return await steps_of(event["steps"])
    callback = await create_callback(name="answer")
    return await callback.result()


def _service_client() -> Any:
    """The class with which handlers of this worker check in, whichever module defines it."""
    found = {
        vars(module).get("GrpcServiceClient")
        for name, module in list(sys.modules.items())
        if name.startswith("async_durable_execution_runner.")
    }
    (client,) = found - {None}
    return client


@durable_execution
async def timed_checkpoints(event: dict) -> float:
    """The median round trip, in seconds, that the service client sees."""
    client = _service_client()
    checkpoint = client.checkpoint
    samples: list[float] = []

    async def timed(self, *args, **kwargs):
        began = time.perf_counter()
        try:
            return await checkpoint(self, *args, **kwargs)
        finally:
            samples.append(time.perf_counter() - began)

    client.checkpoint = timed
    try:
        for number in range(event["steps"]):
            await step(_one, name=f"step-{number}")
    finally:
        client.checkpoint = checkpoint
    return statistics.median(samples)


@durable_execution
async def killed_once(event: dict) -> float:
    """Seconds between the death of the first worker and the re-entry of the handler."""
    entered = time.time()
    marker = event["marker"]
    if not os.path.exists(marker):
        with open(marker, "w") as file:
            file.write(repr(time.time()))
        os.kill(os.getpid(), 9)
    with open(marker) as file:
        return entered - float(file.read())
