"""Workers that cannot be started: everybody is told, nothing is started for ever."""

from __future__ import annotations

import asyncio

import pytest

from async_durable_execution_runner.coordinator.waiting_for import waiting_for
from async_durable_execution_runner.coordinator.workers import ExitCause, WorkerExit
from async_durable_execution_runner.core.model import Isolation, OutputLine, OutputStream
from async_durable_execution_runner.errors import WorkersUnavailable

from .world import KILLED, FakeHost, World, for_ever, succeeded

BROKEN = WorkerExit(
    ExitCause.EXITED,
    exit_code=1,
    output=(OutputLine(OutputStream.RAW, "ImportError: no module named grpc"),),
)
SENTENCE = (
    "Workers cannot be started: 3 workers in a row ended before they were ready, "
    "the last with exit status 1.\n  ImportError: no module named grpc"
)


def broken_host(world: World, exit: WorkerExit = BROKEN) -> FakeHost:
    host = world.host()
    host.stillborn = exit
    return host


async def test_three_failed_starts_in_a_row_are_enough(world: World) -> None:
    host = broken_host(world)
    workspace = world.workspace(workers=1)
    world.function(workspace, lambda _: succeeded())
    run = world.start(workspace)
    with pytest.raises(WorkersUnavailable) as refusal:
        await world.ended(run)
    assert str(refusal.value) == SENTENCE
    assert len(host.started) == 3


async def test_everybody_who_waits_is_told_and_so_are_those_who_come_later(world: World) -> None:
    workspace, other = world.workspace(workers=1), world.workspace(workers=1)
    for each in (workspace, other):
        world.function(each, lambda _: succeeded())
    runs = [world.start(each) for each in (workspace, other)]
    waiting = [asyncio.create_task(world.ended(run)) for run in runs]
    await asyncio.sleep(0)
    host = broken_host(world)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == [SENTENCE] * 2

    starts = len(host.started)
    with pytest.raises(WorkersUnavailable):
        await world.ended(world.start(workspace))
    world.executor.pool.prepare(4)
    assert len(host.started) == starts
    assert waiting_for(world.executor.leases, runs[0]).startswith(
        "a worker, but none can be started: 3"
    )


async def test_a_new_host_is_a_new_chance(world: World) -> None:
    workspace = world.workspace(workers=1)
    world.function(workspace, lambda _: succeeded())
    run = world.start(workspace)
    for _ in range(2):
        broken = broken_host(world)
        with pytest.raises(WorkersUnavailable):
            await world.ended(run)
        assert len(broken.started) == 3
        broken.leave()
    world.host()
    await world.ended(run)
    assert world.executor.pool.trouble == ""


async def test_what_runs_inline_does_not_mind(world: World) -> None:
    broken_host(world)
    workspace, inline = world.workspace(), world.workspace()
    world.function(workspace, lambda _: succeeded())
    world.function(inline, lambda _: succeeded(), isolation=Isolation.INLINE)
    waits = world.start(inline)
    waiting = asyncio.create_task(world.ended(waits))
    with pytest.raises(WorkersUnavailable):
        await world.ended(world.start(workspace))
    world.inline_worker(inline)
    await waiting
    await world.ended(world.start(inline))


async def test_a_start_that_succeeds_makes_the_count_begin_anew(world: World) -> None:
    host = world.host()
    workspace = world.workspace(workers=1)
    world.function(workspace, lambda _: succeeded())
    for _ in range(4):
        run = world.start(workspace)
        for failure in range(2):
            # The start under way fails, and the next.
            host.world.executor.pool.worker_exited(host.started[-1], BROKEN)
            assert not world.executor.pool.trouble, failure
        await world.ended(run)
        # The next needs another.
        world.executor.pool.worker_exited(host.started[-1], KILLED)


@pytest.mark.parametrize("isolation", [Isolation.EXECUTION, Isolation.INVOCATION])
async def test_a_process_of_its_own_is_ready_when_the_next_is_wanted(
    world: World, isolation: Isolation
) -> None:
    """Where hosts may be far away. On this machine no process is started that may not be needed."""
    host = world.host()
    workspace = world.workspace(workers=1)
    world.function(workspace, lambda _: succeeded(), isolation=isolation)
    await world.ended(world.start(workspace))
    assert len(host.started) == 1
    world.executor.pool.starts_ahead = True
    for number in range(2, 5):
        await world.ended(world.start(workspace))
        assert len(host.started) == number + 1
    host.starts = False
    await world.ended(world.start(workspace))


async def test_workers_killed_while_they_start_together_are_one_failure(world: World) -> None:
    host = world.host()
    host.starts = False
    workspace = world.workspace(workers=4)
    world.function(workspace, lambda _: succeeded())
    runs = [world.start(workspace) for _ in range(4)]
    for _ in range(2):
        for worker_id in host.started[-4:]:
            world.executor.pool.worker_exited(worker_id, KILLED)
    assert len(host.started) == 12
    assert not world.executor.pool.trouble
    host.starts = True
    for worker_id in host.started[-4:]:
        host._up(worker_id)
    for run in runs:
        await world.ended(run)


async def test_a_host_that_goes_while_its_workers_start_is_no_failed_start(world: World) -> None:
    """Its successor may be on the way."""
    host = world.host()
    host.starts = False
    workspace = world.workspace(workers=4)
    world.function(workspace, lambda _: succeeded())
    runs = [world.start(workspace) for _ in range(4)]
    waiting = asyncio.gather(*(asyncio.create_task(world.ended(run)) for run in runs))
    await asyncio.sleep(0)
    assert len(host.started) == 4
    host.leave()
    assert world.executor.pool.trouble == ""
    assert waiting_for(world.executor.leases, runs[0]).startswith(
        "a worker host, but none is connected"
    )
    world.host()
    await waiting


async def test_deaths_in_service_are_no_failed_starts(world: World) -> None:
    host = world.host()
    workspace = world.workspace(workers=1, retries=9)
    world.function(workspace, for_ever)
    run = world.start(workspace)
    with world.awaiting_end(run):
        for number in range(1, 6):
            script = await world.invoked(run, number)
            script.worker.end(KILLED)
        # And two failed starts after a death are still only two.
        script = await world.invoked(run, 6)
        host.starts = False
        script.worker.end(KILLED)
        await world.until(run, lambda: run.execution.suspended)
        await world.until(run, lambda: not run.execution.suspended)
        for _ in range(2):
            world.executor.pool.worker_exited(host.started[-1], BROKEN)
        host._up(host.started[-1])
        await world.invoked(run, 7)
    assert world.executor.pool.trouble == ""
    world.stop(run)


async def test_a_late_start_that_succeeds_after_all_ends_the_trouble(world: World) -> None:
    host = world.host(slots=4)
    host.starts = False
    workspace = world.workspace(workers=2)
    world.function(workspace, lambda _: succeeded())
    runs = [world.start(workspace) for _ in range(2)]
    slow = host.started[0]
    for _ in range(3):
        world.executor.pool.worker_exited(host.started[-1], BROKEN)
    assert world.executor.pool.trouble
    host.starts = True
    host._up(slow)
    for run in runs:
        await world.ended(run)
    assert world.executor.pool.trouble == ""
