"""What has happened, in numbers."""

from __future__ import annotations

import asyncio

from async_durable_execution_runner.coordinator.workers import ExitCause, WorkerExit
from async_durable_execution_runner.core.model import Isolation

from .world import Died, Script, World, does, for_ever, step, succeeded, wait


def counted(tally: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in tally.items() if count}


async def test_executions_invocations_and_leases_are_counted_by_their_ends(world: World) -> None:
    tallies = world.executor.pool.tallies
    world.host()
    await world.run(does(step("one"), wait("two", 60)))

    def fails(script: Script) -> str:
        raise ValueError("no")

    await world.run(fails, retries=0)

    def dies_once(script: Script) -> str:
        if script.once(step("one")):
            raise Died(WorkerExit(ExitCause.MEMORY))
        return succeeded()

    await world.run(dies_once)
    assert tallies.executions_started == 3
    assert counted(tallies.executions_ended) == {"succeeded": 2, "failed": 1}
    assert tallies.leases_granted == 5
    assert counted(tallies.invocations) == {"pending": 1, "succeeded": 2, "error": 1, "died": 1}
    assert counted(tallies.worker_exits) == {"memory": 1}

    workspace = world.workspace()
    world.function(workspace, for_ever)
    stopped, open_still = world.start(workspace), world.start(workspace)
    await world.invoked(stopped)
    await world.invoked(open_still)
    world.stop(stopped)
    world.executor.close_workspace(workspace)
    assert counted(tallies.executions_ended) == {
        "succeeded": 2,
        "failed": 1,
        "stopped": 1,
        "withdrawn": 1,
    }
    assert tallies.leases_granted == sum(tallies.invocations.values()) == 7
    assert tallies.invocations["withdrawn"] == 2


async def test_workers_ends_are_counted_by_cause(world: World) -> None:
    tallies = world.executor.pool.tallies
    host = world.host()
    run = await world.run(for_ever, timeout_seconds=0.01, retries=0)
    assert run.invocations[0].outcome == "ERROR"
    assert counted(tallies.invocations) == {"timed_out": 1}
    assert counted(tallies.worker_exits) == {"deadline": 1}

    workspace = world.workspace()
    world.function(workspace, for_ever, isolation=Isolation.EXECUTION)
    await world.invoked(world.start(workspace))
    world.executor.close_workspace(workspace)
    # The worker ends a moment after it was told to.
    await asyncio.sleep(0)
    assert counted(tallies.worker_exits) == {"deadline": 1, "dismissed": 1}

    await world.run(does(step("one")))
    host.leave()
    assert counted(tallies.worker_exits) == {"deadline": 1, "dismissed": 1, "host_lost": 1}
