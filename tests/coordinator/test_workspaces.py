"""What a runner leaves behind when it is closed or done: nothing. And what a turn may touch."""

from __future__ import annotations

import asyncio

import pytest

from async_durable_execution_runner.coordinator.runs import Family
from async_durable_execution_runner.core.execution import Execution
from async_durable_execution_runner.core.model import Isolation
from async_durable_execution_runner.errors import InvalidCheckpointToken, ResourceNotFound

from .world import (
    HOUR,
    PENDING,
    Script,
    World,
    callback,
    does,
    for_ever,
    invoke,
    retry,
    step,
    succeeded,
    wait,
)


def busy(world: World) -> None:
    """One of everything that may be under way when a runner is closed."""
    workspace = world.workspace(workers=3)
    world.function(workspace, for_ever, "stuck")
    world.function(workspace, for_ever, "plain", durable=False)
    world.function(workspace, does(callback("c", timeout_seconds=9), wait("w", HOUR)), "suspended")
    world.function(workspace, does(invoke("call", "plain"), invoke("child", "suspended")), "parent")
    world.function(workspace, does(wait("w", HOUR)), "alone", isolation=Isolation.EXECUTION)
    for name in ("suspended", "parent", "alone", "stuck", "stuck", "stuck"):
        world.start(workspace, name, skip_time=name != "suspended", hold_time=True)


# -- close ---------------------------------------------------------------------------------


async def test_closing_kills_the_busy_workers_and_spares_the_idle(world: World) -> None:
    host = world.host()
    workspace, other = world.workspace(workers=1), world.workspace(workers=1)
    world.function(workspace, for_ever)
    world.function(other, lambda _: succeeded())
    running = world.start(workspace)
    await world.invoked(running)
    await world.ended(world.start(other))
    world.executor.close_workspace(workspace)
    assert host.killed == [running.invocations[0].worker_id]
    await world.ended(world.start(other))
    assert len(host.started) == 2


async def test_closing_forgets_whatever_was_under_way(world: World) -> None:
    host = world.host()
    busy(world)
    (workspace,) = world.executor.workspaces.values()
    await world.until(list(workspace.runs.values())[-1], lambda: True)
    for _ in range(20):
        await asyncio.sleep(0)
    world.executor.close_workspace(workspace)
    assert world.executor.runs == world.executor.leases._subjects == {}
    assert world.executor.pool.queued == 0
    assert workspace.share.leased == 0
    assert world.armed() == []
    for _ in range(5):
        await asyncio.sleep(0)
    # What was bound or busy is dead, the rest idle; nothing came back.
    pool = world.executor.pool
    assert all(worker.job is None and not worker.bound_to for worker in pool.workers.values())
    assert set(pool.workers) == host.host.workers
    assert world.executor.runs == {}


async def test_closing_between_a_checkpoint_and_the_invoke_that_it_asked_for(world: World) -> None:
    world.host()
    workspace = world.workspace()

    def script(run: Script) -> str:
        run.checkpoint(invoke("call", "child"))
        world.executor.close_workspace(workspace)
        return succeeded()

    world.function(workspace, script)
    world.function(workspace, lambda _: succeeded(), "child")
    run = world.start(workspace)
    with pytest.raises(ResourceNotFound):
        await world.ended(run)
    await asyncio.sleep(0)
    assert world.executor.runs == {}


async def test_a_worker_of_a_closed_runner_is_refused(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, for_ever)
    run = world.start(workspace)
    script = await world.invoked(run)
    world.executor.close_workspace(workspace)
    with pytest.raises(InvalidCheckpointToken):
        script.checkpoint(step("late"))
    script.worker.returns(script, succeeded())
    with pytest.raises(ResourceNotFound, match="Execution not found"):
        world.executor.run(run.arn)
    with pytest.raises(ResourceNotFound, match="workspace is closed"):
        world.executor.workspace(workspace.id)


async def test_who_waits_for_an_execution_of_a_closed_runner_is_told(world: World) -> None:
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded())
    run = world.start(workspace)
    waiting = asyncio.create_task(world.ended(run))
    await asyncio.sleep(0)
    world.executor.close_workspace(workspace)
    with pytest.raises(ResourceNotFound, match="runner was closed before the execution ended"):
        await waiting


async def test_another_runner_does_not_notice(world: World) -> None:
    world.host(slots=4)
    workspace = world.workspace(workers=1)
    go = asyncio.Event()

    async def script(run: Script) -> str:
        run.once(step("one"))
        await go.wait()
        return succeeded()

    world.function(workspace, script)
    run = world.start(workspace)
    await world.invoked(run)
    busy(world)
    for _ in range(10):
        await asyncio.sleep(0)
    other = next(each for each in world.executor.workspaces.values() if each is not workspace)
    world.executor.close_workspace(other)
    go.set()
    await world.ended(run)
    assert len(run.invocations) == 1


# -- leaks ---------------------------------------------------------------------------------


async def test_when_all_has_ended_nothing_is_kept_but_the_records(world: World) -> None:
    world.host()
    workspace = world.workspace(workers=3, retries=3)
    world.function(workspace, lambda _: "1", "plain", durable=False)
    world.function(workspace, does(wait("w", 5)), "child")

    def everything(run: Script) -> str:
        if len(run.executor.runs[run.arn].invocations) == 1:
            raise ValueError("once")
        calls = invoke("p", "plain"), invoke("c", "child"), invoke("x", "nowhere")
        run.once(wait("w", 9), retry("r", 3), *calls)
        return succeeded() if run.done("w", "p", "c", "x") else PENDING

    world.function(workspace, everything)
    runs = [world.start(workspace) for _ in range(10)]
    for run in runs:
        await world.ended(run)

    executor = world.executor
    assert executor.leases._subjects == {}
    assert executor.pool.queued == workspace.share.leased == 0
    assert world.armed() == []
    for run in workspace.runs.values():
        assert (run.lease, run.watchers) == (None, [])
        family = run.family
        assert (family.runs, family.calls, family.pending_calls) == ({}, 0, 0)
        assert (family.awaiting_end, family.armed, family.quiet) == ([], None, None)


# -- cost ----------------------------------------------------------------------------------


async def test_a_checkpoint_of_one_execution_touches_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.host()
    workspace = world.workspace(workers=4)
    world.function(workspace, does(wait("w", HOUR)), "other")
    for run in [world.start(workspace, "other", hold_time=True) for _ in range(20)]:
        await world.suspended(run)
    world.function(workspace, for_ever)
    run = world.start(workspace)
    script = await world.invoked(run)

    touched: list[object] = []
    for owner, name in (
        (Execution, "handle"),
        (Execution, "next_timer"),
        (Family, "next_timer"),
    ):
        original = getattr(owner, name)

        def spy(self: object, *args: object, original: object = original) -> object:
            touched.append(self)
            return original(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, spy)
    for number in range(10):
        script.checkpoint(step(f"step-{number}"))
    monkeypatch.undo()
    assert set(touched) == {run.execution}
    # The same few looks each time.
    assert len(touched) == 10 * (len(touched) // 10) <= 10 * 3
