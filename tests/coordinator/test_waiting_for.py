"""What an execution is said to wait for."""

from __future__ import annotations

from async_durable_execution_runner.coordinator.waiting_for import waiting_for

from .world import PENDING, Script, World, retry


async def test_the_next_attempt_of_a_step(world: World) -> None:
    world.host()

    def script(run: Script) -> str:
        run.checkpoint(retry("charge", 90))
        return PENDING

    workspace = world.workspace()
    world.function(workspace, script)
    run = await world.suspended(world.start(workspace, hold_time=True))
    due = "the next attempt of step at 2025-06-15 15:08:10 UTC"
    assert waiting_for(world.executor.leases, run) == due


async def test_the_next_try_of_an_invocation(world: World) -> None:
    world.host()

    def script(run: Script) -> str:
        raise ValueError("no")

    workspace = world.workspace(retries=2)
    world.function(workspace, script)
    run = await world.suspended(world.start(workspace, hold_time=True))
    due = "its invocation retry, due at 2025-06-15 15:06:41 UTC"
    assert waiting_for(world.executor.leases, run) == due
