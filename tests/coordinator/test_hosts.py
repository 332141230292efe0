"""Which of several worker hosts an execution's invocations go to."""

from __future__ import annotations

import asyncio

import pytest

from async_durable_execution_runner.coordinator.runs import Run, Workspace

from .world import PENDING, FakeHost, Script, World, invoke, succeeded, wait

OLD, NEW = {"code": "old"}, {"code": "new"}


@pytest.fixture
def hosts(world: World) -> dict[str, FakeHost]:
    return {name: world.host(code=name) for name in ("old", "new")}


def naps(run: Script) -> str:
    for number in range(3):
        if run.once(wait(f"nap-{number}", 1)):
            return PENDING
    return succeeded()


def places(run: Run, hosts: dict[str, FakeHost]) -> list[str]:
    """Where each invocation has run."""
    return [
        next(name for name, host in hosts.items() if each.worker_id in host.started)
        for each in run.invocations
    ]


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        (1, ["old", "new", "new", "new"]),
        (3, ["old", "old", "old", "new"]),
        (9, ["old", "old", "old", "old"]),
    ],
)
async def test_an_execution_moves_after_as_many_invocations_as_it_says(
    world: World, hosts: dict[str, FakeHost], after: int, wanted: list[str]
) -> None:
    how = {"labels": OLD, "resume_on": NEW, "resume_after": after}
    assert places(await world.run(naps, **how), hosts) == wanted


@pytest.mark.parametrize(
    ("after", "callers", "callees"), [(1, ["old", "new", "new"], "new"), (3, ["old"] * 3, "old")]
)
async def test_what_is_invoked_in_a_chain_goes_where_its_caller_would_by_now(
    world: World, hosts: dict[str, FakeHost], after: int, callers: list[str], callees: str
) -> None:
    """Its own number of invocations says nothing: a deployment moves all at once."""

    def caller(run: Script) -> str:
        if run.once(wait("nap", 1)) or run.once(invoke("call", "callee")):
            return PENDING
        return succeeded()

    workspace = world.workspace()
    world.function(workspace, caller)
    world.function(workspace, naps, "callee")
    how = {"labels": OLD, "resume_on": NEW, "resume_after": after}
    run = await world.ended(world.start(workspace, **how))
    (callee,) = [each for each in workspace.runs.values() if each is not run]
    assert places(run, hosts) == callers
    assert places(callee, hosts) == [callees] * 4


def shares(runs: list[Run], hosts: list[FakeHost]) -> list[int]:
    """How many invocations of the executions each host has had."""
    workers = [each.worker_id for run in runs for each in run.invocations]
    return [sum(worker in host.started for worker in workers) for host in hosts]


async def begun(world: World, workspace: Workspace, count: int) -> list[Run]:
    """Executions that have begun together, and take no time until their end is awaited."""
    runs = [world.start(workspace, hold_time=True) for _ in range(count)]
    for run in runs:
        await world.invoked(run)
    return runs


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
async def test_executions_that_begin_at_once_are_spread_evenly(
    world: World, warm: bool, count: int
) -> None:
    """Whether no worker has loaded the function or all have: the numbers differ by one at most."""
    hosts = [world.host(slots=2)]
    workspace = world.workspace()
    held = asyncio.Event()

    async def script(run: Script) -> str:
        await held.wait()
        return succeeded()

    async def warm_up(workers: int) -> None:
        held.clear()
        runs = await begun(world, workspace, workers)
        held.set()
        for run in runs:
            await world.ended(run)

    world.function(workspace, script)
    if warm:
        await warm_up(2)
    hosts.append(world.host(slots=2))
    if warm:
        # The workers of the first host are the oldest.
        await warm_up(4)
    held.clear()
    runs = await begun(world, workspace, count)
    assert abs(shares(runs, hosts)[0] - count / 2) <= 0.5


async def test_many_executions_keep_all_hosts_at_work(world: World) -> None:
    hosts = [world.host(slots=2), world.host(slots=2)]
    workspace = world.workspace()
    world.function(workspace, naps)
    runs = [world.start(workspace) for _ in range(40)]
    for run in runs:
        await world.ended(run)
    assert sum(shares(runs, hosts)) == 160
    assert abs(shares(runs, hosts)[0] - 80) <= 4


async def test_an_execution_goes_back_to_its_worker_while_that_is_free(world: World) -> None:
    """Also where another host has nothing to do at all."""
    hosts = [world.host(slots=2), world.host(slots=2), world.host(slots=2)]
    workspace = world.workspace(workers=6)
    held = asyncio.Event()

    async def script(run: Script) -> str:
        await held.wait()
        return naps(run)

    world.function(workspace, script)
    runs = await begun(world, workspace, 6)
    assert shares(runs, hosts) == [2, 2, 2]
    held.set()
    for run in runs:
        await world.suspended(run)
    for run in reversed(runs):
        await world.ended(run)
        assert len({each.worker_id for each in run.invocations}) == 1
