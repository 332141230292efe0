"""Waits for something to become true of an execution."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ResourceNotFound, WorkersUnavailable
from .executor import Executor
from .runs import Run


async def until(
    executor: Executor, run: Run, condition: Callable[[], bool], seconds: float
) -> bool:
    """Wait until `condition` holds; return False where it does not hold within `seconds`.

    Args:
        run: The execution that wakes the waiting with each of its turns.
        condition: What is waited for; it is asked after each turn of `run`.
        seconds: How long to wait, in real seconds.

    Raises:
        WorkersUnavailable: No worker can be started.
        ResourceNotFound: The runner was closed meanwhile.
    """
    if condition():
        return True
    try:
        async with run.workspace.patience.timeout(seconds):
            while not (await _watch(executor, run, condition) or condition()):
                pass
    except TimeoutError:
        return condition()
    return True


async def _watch(executor: Executor, run: Run, condition: Callable[[], bool]) -> bool:
    """Return whether `condition` came true; False where the caller has to look again."""
    if run.arn not in executor.runs:
        raise ResourceNotFound("The runner was closed before the execution ended.")
    if executor.pool.trouble and run.workspace.needs_processes:
        raise WorkersUnavailable(f"Workers cannot be started: {executor.pool.trouble}")
    return await run.watch(condition)
