"""Waiting for something to become true of an execution."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import ResourceNotFound, WorkersUnavailable
from .executor import Executor
from .runs import Run


async def until(
    executor: Executor, run: Run, condition: Callable[[], bool], seconds: float
) -> bool:
    """Wait until `condition` holds of `run`; False when it did not in time.

    Raises `WorkersUnavailable` where no worker can be started, and `ResourceNotFound`
    where the runner was closed meanwhile.
    """
    if condition():
        return True
    try:
        async with asyncio.timeout(seconds):
            while not (await _watch(executor, run, condition) or condition()):
                pass
    except TimeoutError:
        return condition()
    return True


async def _watch(executor: Executor, run: Run, condition: Callable[[], bool]) -> bool:
    """Whether it came true; False where hope has to be checked anew."""
    if run.arn not in executor.runs:
        raise ResourceNotFound("The runner was closed before the execution ended.")
    if executor.pool.trouble and run.workspace.needs_processes:
        raise WorkersUnavailable(f"Workers cannot be started: {executor.pool.trouble}")
    return await run.watch(condition)
