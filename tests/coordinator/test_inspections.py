"""What a worker was doing is asked for before it is killed, and nobody waits long for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from async_durable_execution_runner.coordinator import inspections
from async_durable_execution_runner.coordinator.runs import Run, Workspace
from async_durable_execution_runner.coordinator.waiting_for import waiting_for
from async_durable_execution_runner.coordinator.workers import Stacks

from .world import KILLED, FakeHost, Script, World, does, for_ever, invoke, step, succeeded

SOON = 0.05
STUCK = Stacks(("before", "after\nand more"), "stuck: in a loop")
Answer = Callable[[str, str], None]


class Inspected(FakeHost):
    """Says `STUCK` of its workers when it is asked, or does `answer` instead."""

    def __init__(self, world: World, answer: Answer | None = None) -> None:
        super().__init__(world, "inspected", 8)
        self.asked: list[tuple[str, str]] = []
        self.answer = answer or self.say

    def _take_stacks(self, worker_id: str, request_id: str) -> None:
        self.asked.append((worker_id, request_id))
        # Whoever is asked is still there.
        assert worker_id not in self.killed
        asyncio.get_running_loop().call_soon(self.answer, worker_id, request_id)

    def say(self, worker_id: str, request_id: str) -> None:
        self.world.executor.leases.inspections.answered(worker_id, request_id, STUCK)


def hanging(world: World, **settings: float) -> Workspace:
    workspace = world.workspace(workers=1, retries=0)
    world.function(workspace, for_ever, **({"timeout_seconds": SOON} | settings))
    return workspace


def trace_of(run: Run) -> tuple[str, ...] | None:
    error = run.execution.root.error
    assert error is not None
    assert error.type == "Sandbox.Timedout"
    return error.stack_trace


async def test_past_its_deadline_a_worker_is_asked_first_and_killed_then(world: World) -> None:
    host = Inspected(world)
    run = await world.ended(world.start(hanging(world)))
    (record,) = run.invocations
    assert host.asked == [(record.worker_id, record.request_id)]
    assert host.killed == [record.worker_id]
    assert record.stacks == STUCK
    assert trace_of(run) == ("stuck: in a loop", "after", "and more")


async def test_a_host_that_does_not_answer_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspections, "_PATIENCE", SOON)
    host = Inspected(world, lambda *_: None)
    run = await world.ended(world.start(hanging(world)))
    assert host.killed == [run.invocations[0].worker_id]
    assert trace_of(run) == ("unknown: its worker host did not say what it was doing",)
    host.say(*host.asked[0])
    assert run.invocations[0].stacks != STUCK


async def test_a_host_that_leaves_instead_ends_the_invocation_at_once(world: World) -> None:
    host = Inspected(world, lambda *_: host.leave())
    run = await world.ended(world.start(hanging(world)), seconds=1)
    assert trace_of(run) is None
    assert run.invocations[0].stacks is None


async def test_a_worker_that_dies_meanwhile_is_not_killed_again(world: World) -> None:
    def die(worker_id: str, request_id: str) -> None:
        host.workers.pop(worker_id).end(KILLED)
        host.say(worker_id, request_id)

    host = Inspected(world, die)
    run = await world.ended(world.start(hanging(world)), seconds=1)
    assert trace_of(run) is None
    # Told when its session ended, as any host is.
    assert host.killed == host.started


async def test_a_result_that_comes_meanwhile_is_too_late(world: World) -> None:
    """And its worker is given nothing more; but what it wrote is kept."""

    def answer(worker_id: str, request_id: str) -> None:
        script.print("almost")
        script.worker.returns(script, succeeded("too late"))
        host.say(worker_id, request_id)

    host = Inspected(world, answer)
    workspace = hanging(world)
    world.function(workspace, lambda run: succeeded(run.worker.worker.id), "next")
    run = world.start(workspace)
    script = await world.invoked(run)
    following = world.start(workspace, "next")
    await world.ended(run)
    assert trace_of(run) == ("almost", "stuck: in a loop", "after", "and more")
    assert [line.text for line in run.invocations[0].output] == ["almost"]
    await world.ended(following)
    assert following.invocations[0].worker_id == host.started[1]


async def test_a_runner_that_is_closed_meanwhile_kills_at_once(world: World) -> None:
    closed = asyncio.Event()

    def close(*_: str) -> None:
        world.executor.close_workspace(workspace)
        closed.set()

    host = Inspected(world, close)
    workspace = hanging(world)
    world.start(workspace)
    async with asyncio.timeout(5):
        await closed.wait()
    assert host.killed == host.started


async def inspect(world: World, run: Run) -> None:
    """What the control service does where a caller's time is up."""
    await world.executor.leases.inspections.take(world.executor.leases.of_family(run.family))


async def test_a_caller_who_loses_patience_disturbs_nothing(world: World) -> None:
    host = Inspected(world)
    workspace = world.workspace()
    go = asyncio.Event()

    async def wait_for_go(run: Script) -> str:
        run.checkpoint(step("one"))
        await go.wait()
        return succeeded()

    world.function(workspace, wait_for_go)
    run = world.start(workspace)
    await world.invoked(run)
    await asyncio.gather(inspect(world, run), inspect(world, run))
    assert len(host.asked) == 1
    assert "s ago; stuck: in a loop" in waiting_for(world.executor.leases, run)
    assert run.invocations[0].stacks == STUCK
    go.set()
    await world.ended(run)
    assert run.invocations[0].stacks is None
    assert host.killed == []


async def test_those_that_an_execution_waits_for_are_looked_at_too(world: World) -> None:
    Inspected(world)
    workspace = world.workspace()
    for name, durable in (("child", True), ("plain", False)):
        world.function(workspace, for_ever, name, durable=durable)
        world.function(workspace, does(invoke("call", name)))
        run = world.start(workspace, payload=f'"{name}"')
        await world.until(run, lambda: len(world.executor.leases.of_family(run.family)) == 1)  # noqa: B023
        await world.suspended(run)
        await inspect(world, run)
        assert waiting_for(world.executor.leases, run).endswith("; stuck: in a loop")


async def test_what_is_said_of_an_invocation_that_has_ended_is_dropped(world: World) -> None:
    go = asyncio.Event()

    async def wait_for_go(run: Script) -> str:
        await go.wait()
        return succeeded()

    async def answer_later(*asked: str) -> None:
        go.set()
        await world.ended(run)
        host.say(*asked)

    host = Inspected(world, lambda *asked: later.append(asyncio.create_task(answer_later(*asked))))
    later: list[asyncio.Task[None]] = []
    workspace = world.workspace()
    world.function(workspace, wait_for_go)
    run = world.start(workspace)
    await world.invoked(run)
    await inspect(world, run)
    assert run.execution.ended
    assert run.invocations[0].stacks is None
