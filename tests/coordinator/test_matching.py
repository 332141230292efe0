"""Which worker gets which invocation: isolation, limits, turns, room on a full host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from async_durable_execution_runner.coordinator.runs import Run
from async_durable_execution_runner.coordinator.waiting_for import waiting_for
from async_durable_execution_runner.coordinator.workers import WorkerState
from async_durable_execution_runner.core.model import Isolation

from .world import (
    HOUR,
    KILLED,
    PENDING,
    FakeHost,
    Script,
    World,
    does,
    for_ever,
    invoke,
    succeeded,
    succeeded_with,
    wait,
)


def naps(*seconds: int) -> Callable[[Script], str]:
    """A script of one invocation more than naps."""

    def script(run: Script) -> str:
        for number, length in enumerate(seconds):
            if run.once(wait(f"nap-{number}", length)):
                return PENDING
        return succeeded()

    return script


def workers_of(run: Run) -> list[str]:
    return [record.worker_id for record in run.invocations]


# -- isolation -----------------------------------------------------------------------------


async def test_worker_isolation_uses_a_warm_worker_again_and_again(world: World) -> None:
    host = world.host()
    workspace = world.workspace()
    world.function(workspace, naps(1, 1))
    for _ in range(3):
        run = await world.ended(world.start(workspace))
        assert workers_of(run) == host.started[:1] * 3
    assert len(host.started) == 1
    assert host.killed == []


async def test_a_warm_worker_serves_another_runner_too_and_gets_code_once_each(
    world: World,
) -> None:
    host = world.host()
    needed = []

    def script(run: Script) -> str:
        needed.append(run.needs_code)
        return succeeded()

    first, second = world.workspace(), world.workspace()
    for workspace in (first, second):
        world.function(workspace, script)
        for _ in range(2):
            await world.ended(world.start(workspace))
    world.executor.close_workspace(first)
    third = world.workspace()
    world.function(third, script)
    await world.ended(world.start(third))
    assert len(host.started) == 1
    assert needed == [True, False, True, False, True]


async def test_a_function_with_processes_of_its_own_shares_none(world: World) -> None:
    """An alias of it does; and when the host is full, another's idle one makes room."""
    host = world.host(slots=2)
    workspace = world.workspace(workers=1)
    for name, group in (("a", "a"), ("a:live", "a"), ("b", "b")):
        world.function(workspace, lambda _: succeeded(), name, process_group=group)
    world.function(workspace, lambda _: succeeded(), "shared")
    runs = [
        await world.ended(world.start(workspace, name)) for name in ("a", "a:live", "b", "shared")
    ]
    first, alias, second, third = [workers_of(run)[0] for run in runs]
    assert first == alias
    assert [first, second, third] == host.started
    assert host.killed == [first]


async def test_warm_workers_of_the_last_groups_only_outlive_their_runners(world: World) -> None:
    host = world.host()
    for group in "abcda":
        workspace = world.workspace()
        world.function(workspace, lambda _: succeeded(), process_group=group)
        await world.ended(world.start(workspace))
        world.executor.close_workspace(workspace)
    assert (len(host.started), host.killed) == (4, [])
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded(), process_group="e")
    await world.ended(world.start(workspace))
    world.executor.close_workspace(workspace)
    assert host.killed == [host.started[1]]


async def test_the_warm_workers_of_an_open_runner_outlive_any_number_of_others(
    world: World,
) -> None:
    host = world.host()
    mine = world.workspace()
    world.function(mine, lambda _: succeeded(), process_group="mine")
    await world.ended(world.start(mine))
    for group in "abcde":
        workspace = world.workspace()
        world.function(workspace, lambda _: succeeded(), process_group=group)
        await world.ended(world.start(workspace))
        world.executor.close_workspace(workspace)
    assert host.killed == [host.started[1]]


async def test_a_warm_worker_of_another_group_is_none_that_is_ready(world: World) -> None:
    host = world.host()
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded(), process_group="a")
    await world.ended(world.start(workspace))
    world.executor.pool.prepare(1, "a")
    assert len(host.started) == 1
    world.executor.pool.prepare(1, "b")
    assert len(host.started) == 2


async def test_the_worker_that_knows_the_function_is_preferred(world: World) -> None:
    world.host()
    workspace = world.workspace(workers=2)
    both = asyncio.Barrier(2)

    async def script(run: Script) -> str:
        await both.wait()
        return succeeded()

    for name in ("a", "b"):
        world.function(workspace, script, name)
    runs = [world.start(workspace, name) for name in ("a", "b")]
    before = {run.function.name: workers_of(await world.ended(run)) for run in runs}
    for name in ("b", "a"):
        world.function(workspace, lambda _: succeeded(), name)
        assert workers_of(await world.ended(world.start(workspace, name))) == before[name]


async def test_execution_isolation_keeps_an_execution_on_a_worker_of_its_own(
    world: World,
) -> None:
    host = world.host()
    workspace = world.workspace(workers=2)
    world.function(workspace, naps(HOUR, HOUR), isolation=Isolation.EXECUTION)
    runs = [world.start(workspace, hold_time=True) for _ in range(2)]
    for run in runs:
        await world.ended(run)
    mine, others = (set(workers_of(run)) for run in runs)
    assert len(mine) == len(others) == 1
    assert mine != others
    # It goes when its execution has ended.
    assert set(host.killed) == mine | others


async def test_the_worker_of_a_suspended_execution_goes_when_it_is_stopped(world: World) -> None:
    host = world.host()
    workspace = world.workspace()
    world.function(workspace, naps(HOUR), isolation=Isolation.EXECUTION)
    run = await world.suspended(world.start(workspace, hold_time=True))
    world.stop(run)
    assert host.killed == host.started[:1]


async def test_the_worker_of_a_running_execution_goes_when_that_invocation_has_ended(
    world: World,
) -> None:
    host = world.host()
    workspace = world.workspace()

    def script(run: Script) -> str:
        world.stop(world.executor.run(run.arn))
        assert host.killed == []
        return succeeded()

    world.function(workspace, script, isolation=Isolation.EXECUTION)
    await world.ended(world.start(workspace))
    await asyncio.sleep(0)
    assert host.killed == host.started[:1]


async def test_execution_isolation_starts_afresh_where_its_worker_died(world: World) -> None:
    host = world.host()
    workspace = world.workspace()
    world.function(workspace, naps(HOUR), isolation=Isolation.EXECUTION)
    run = await world.suspended(world.start(workspace, hold_time=True))
    host.workers.pop(host.started[0]).end(KILLED)
    await world.ended(run)
    assert workers_of(run) == host.started[:2]


async def test_invocation_isolation_takes_a_fresh_worker_each_time(world: World) -> None:
    host = world.host()
    workspace = world.workspace()
    world.function(workspace, naps(1, 1), isolation=Isolation.INVOCATION)
    run = await world.ended(world.start(workspace))
    assert len(set(workers_of(run))) == 3
    assert set(host.killed) == set(workers_of(run))


@pytest.mark.parametrize("isolation", [Isolation.EXECUTION, Isolation.INVOCATION])
async def test_an_isolated_plain_function_has_a_fresh_worker_for_each_call(
    world: World, isolation: Isolation
) -> None:
    host = world.host()
    workspace = world.workspace(workers=1)
    seen: list[tuple[str, int]] = []

    def plain(run: Script) -> str:
        seen.append((run.worker.worker.id, run.worker.worker.served))
        return "1"

    world.function(workspace, does(invoke("a", "plain"), invoke("b", "plain")))
    world.function(workspace, plain, "plain", durable=False, isolation=isolation)
    await world.ended(world.start(workspace))
    assert [served for _, served in seen] == [1, 1]
    assert len({worker_id for worker_id, _ in seen}) == 2
    assert host.killed == [worker_id for worker_id, _ in seen]


async def test_isolated_executions_take_no_used_worker(world: World) -> None:
    host = world.host()
    workspace = world.workspace(workers=1)
    world.function(workspace, lambda _: succeeded())
    world.function(workspace, lambda _: succeeded(), "alone", isolation=Isolation.EXECUTION)
    used = await world.ended(world.start(workspace))
    alone = await world.ended(world.start(workspace, "alone"))
    assert workers_of(used) + workers_of(alone) == host.started[:2]


async def test_an_inline_worker_serves_its_own_runner_only(world: World) -> None:
    first, second = world.workspace(), world.workspace()
    for workspace in (first, second):
        world.function(workspace, lambda _: succeeded(), isolation=Isolation.INLINE)
    world.function(first, lambda _: succeeded(), "in-process")
    world.inline_worker(first, "of the first")

    inline = await world.ended(world.start(first))
    assert workers_of(inline) == ["of the first"]
    others = world.start(second)
    process = world.start(first, "in-process")
    await asyncio.sleep(0)
    assert not others.invocations
    assert not process.invocations
    world.inline_worker(second, "of the second")
    host = world.host()
    assert workers_of(await world.ended(others)) == ["of the second"]
    assert workers_of(await world.ended(process)) == host.started


async def test_no_process_is_started_for_an_inline_function(world: World) -> None:
    host = world.host()
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded(), isolation=Isolation.INLINE)
    run = world.start(workspace)
    assert host.started == []
    world.inline_worker(workspace)
    await world.ended(run)
    assert host.started == []


async def test_an_inline_worker_that_never_greets_keeps_no_process_from_starting(
    world: World,
) -> None:
    workspace = world.workspace()
    world.inline_worker(workspace).worker.state = WorkerState.STARTING
    host = world.host()
    world.function(workspace, lambda _: succeeded())
    await world.ended(world.start(workspace))
    assert len(host.started) == 1


# -- memory --------------------------------------------------------------------------------


async def test_the_host_is_told_the_memory_limit_when_it_changes(world: World) -> None:
    host = world.host()
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded())
    world.function(workspace, lambda _: succeeded(), "big", memory_mb=256, enforce_memory=True)
    for name in ("order", "big", "big", "order"):
        await world.ended(world.start(workspace, name))
    (worker,) = host.started
    assert host.limits == [(worker, 256 * 2**20), (worker, 0)]


async def test_an_inline_worker_has_no_memory_limit(world: World) -> None:
    """It has the test's own memory."""
    workspace = world.workspace()
    inline = {"isolation": Isolation.INLINE, "memory_mb": 256, "enforce_memory": True}
    world.function(workspace, lambda _: succeeded(), **inline)
    world.inline_worker(workspace)
    await world.ended(world.start(workspace))


# -- limits and turns ----------------------------------------------------------------------


class Counter:
    """A script that counts how many of it run at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def __call__(self, run: Script) -> str:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        self.now -= 1
        return succeeded()


async def test_no_more_of_a_runners_invocations_run_at_once_than_its_workers(world: World) -> None:
    host = world.host(slots=8)
    workspace, counter = world.workspace(workers=3), Counter()
    world.function(workspace, counter)
    for run in [world.start(workspace) for _ in range(20)]:
        await world.ended(run)
    assert counter.most == 3
    assert len(host.started) == 3


async def test_no_more_workers_are_started_than_a_host_has_slots(world: World) -> None:
    host = world.host(slots=2)
    workspace, counter = world.workspace(workers=5), Counter()
    world.function(workspace, counter)
    for run in [world.start(workspace) for _ in range(10)]:
        await world.ended(run)
    assert counter.most == 2
    assert len(host.started) == 2


async def test_a_handler_that_outlives_its_execution_takes_no_place_on_its_host(
    world: World,
) -> None:
    world.host(slots=1)
    workspace = world.workspace(workers=1)
    world.function(workspace, for_ever, "hangs")
    world.function(workspace, lambda _: succeeded())
    run = world.start(workspace, "hangs")
    await world.invoked(run)
    world.stop(run)
    await world.ended(world.start(workspace))


async def test_workers_are_spread_over_hosts(world: World) -> None:
    hosts = [world.host(slots=3), world.host(slots=3)]
    workspace = world.workspace(workers=4)
    world.function(workspace, for_ever)
    for run in [world.start(workspace) for _ in range(4)]:
        await world.invoked(run)
    assert [len(host.started) for host in hosts] == [2, 2]


async def test_runners_take_turns_on_a_host_that_is_too_small_for_both(world: World) -> None:
    """The few of one need not wait until the many of another are done."""
    world.host(slots=1)
    many, few = world.workspace(workers=1), world.workspace(workers=1)
    order: list[str] = []

    def script(name: str) -> Callable[[Script], str]:
        def run(_: Script) -> str:
            order.append(name)
            return succeeded()

        return run

    world.function(many, script("many"))
    world.function(few, script("few"))
    runs = [world.start(many) for _ in range(10)] + [world.start(few) for _ in range(3)]
    for run in runs:
        await world.ended(run)
    assert order == ["many", "few"] * 3 + ["many"] * 7


async def test_a_runner_that_is_at_its_limit_takes_nothing_from_another(world: World) -> None:
    world.host(slots=8)
    busy, other = world.workspace(workers=1), world.workspace(workers=1)
    world.function(busy, for_ever)
    world.function(other, lambda _: succeeded())
    for _ in range(5):
        world.start(busy)
    await world.ended(world.start(other))
    assert busy.share.leased == 1


async def test_who_waits_for_a_worker_is_told_why_there_is_none(world: World) -> None:
    world.host(slots=1)
    busy, other = world.workspace(workers=1), world.workspace(workers=1)
    world.function(busy, for_ever)
    world.function(other, lambda _: succeeded())
    run = world.start(busy)
    assert waiting_for(world.executor.leases, run) == "a worker, which is being started"
    await world.invoked(run)
    assert busy.share.leased == 1
    text = "a free worker: 1 of 1 are busy, those of other runners included"
    assert waiting_for(world.executor.leases, world.start(other)) == text
    text = "a free worker: 1 of this runner's 1 are busy"
    assert waiting_for(world.executor.leases, world.start(busy)) == text


async def test_invocations_of_a_runner_start_in_the_order_of_their_asking(world: World) -> None:
    world.host()
    workspace = world.workspace(workers=1)
    order: list[int] = []

    def script(run: Script) -> str:
        order.append(run.input)
        return succeeded()

    world.function(workspace, script)
    for run in [world.start(workspace, payload=str(n)) for n in range(10)]:
        await world.ended(run)
    assert order == list(range(10))


async def test_one_that_cannot_be_served_holds_up_nobody_behind_it(world: World) -> None:
    """An inline function, and no inline worker."""
    world.host()
    workspace = world.workspace(workers=1)
    world.function(workspace, lambda _: succeeded(), "inline", isolation=Isolation.INLINE)
    world.function(workspace, lambda _: succeeded())
    world.start(workspace, "inline")
    await world.ended(world.start(workspace))


async def test_a_full_host_gives_up_an_idle_worker_for_a_fresh_one(world: World) -> None:
    host = world.host(slots=2)
    workspace = world.workspace(workers=2)
    world.function(workspace, Counter())
    world.function(workspace, lambda _: succeeded(), "alone", isolation=Isolation.INVOCATION)
    for run in [world.start(workspace) for _ in range(2)]:
        await world.ended(run)
    alone = await world.ended(world.start(workspace, "alone"))
    assert workers_of(alone) == host.started[2:3]
    # One was enough.
    assert host.killed == [host.started[0], host.started[2]]


async def test_more_suspended_isolated_executions_than_slots(world: World) -> None:
    """Their idle processes must not keep each other from going on."""
    world.host(slots=2)
    workspace = world.workspace(workers=2)
    world.function(workspace, naps(HOUR), isolation=Isolation.EXECUTION)
    runs = [world.start(workspace, hold_time=True) for _ in range(5)]
    for run in runs:
        await world.suspended(run)
    for run in runs:
        await world.ended(run)


async def test_a_worker_that_anybody_may_use_is_given_up_first(world: World) -> None:
    host = world.host(slots=2)
    workspace = world.workspace(workers=2)
    world.function(workspace, naps(HOUR), "bound", isolation=Isolation.EXECUTION)
    world.function(workspace, lambda _: succeeded())
    bound = await world.suspended(world.start(workspace, "bound", hold_time=True))
    await world.ended(world.start(workspace))
    other = world.start(workspace, "bound", hold_time=True)
    await world.suspended(other)
    assert host.killed == [host.started[1]]
    assert len(set(workers_of(await world.ended(bound)))) == 1


# -- preparing -----------------------------------------------------------------------------


async def test_workers_are_there_before_there_is_work(world: World) -> None:
    host = world.host(slots=3)
    pool = world.executor.pool
    pool.prepare(2)
    pool.prepare(2)
    assert len(host.started) == 2
    pool.prepare(9)
    assert len(host.started) == 3


def started_by(host: FakeHost, pool_size: int) -> bool:
    return len(host.started) == pool_size


async def test_work_waits_for_workers_that_start_already(world: World) -> None:
    host = world.host()
    workspace = world.workspace()
    world.function(workspace, lambda run: succeeded(run.worker.worker.id))
    world.executor.pool.prepare(1)
    run = world.start(workspace)
    assert succeeded_with(await world.ended(run)) == host.started[0]
    assert len(host.started) == 1


async def test_submitting_costs_the_same_with_a_thousand_in_the_queue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle workers that one runner may not use must not make each start look at the queue."""
    world.host(slots=4)
    others, workspace = world.workspace(workers=4), world.workspace(workers=1)
    world.function(others, Counter())
    for run in [world.start(others) for _ in range(4)]:
        await world.ended(run)
    world.function(workspace, for_ever)
    looks = 0
    choose = world.executor.pool._choose

    def counting(job: object) -> object:
        nonlocal looks
        looks += 1
        return choose(job)  # type: ignore[arg-type]

    monkeypatch.setattr(world.executor.pool, "_choose", counting)
    for _ in range(1000):
        world.start(workspace)
    assert looks <= 1
