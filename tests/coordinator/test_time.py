"""Virtual time: which timer is next, whose clock moves, when it holds, real time on request."""

from __future__ import annotations

import asyncio

import pytest

from async_durable_execution_runner.coordinator import timekeeper
from async_durable_execution_runner.coordinator.runs import Run
from async_durable_execution_runner.coordinator.until import until
from async_durable_execution_runner.core import limits
from async_durable_execution_runner.core.model import ExecutionStatus, OperationStatus

from .world import (
    DAY,
    HOUR,
    PENDING,
    T0,
    Script,
    World,
    callback,
    does,
    events_of,
    for_ever,
    invoke,
    retry,
    seconds_at,
    succeeded,
    succeeded_with,
    wait,
)

STARTED, SUCCEEDED = OperationStatus.STARTED, OperationStatus.SUCCEEDED
TIMED_OUT = OperationStatus.TIMED_OUT


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment in which a test may still answer is over at once."""
    monkeypatch.setattr(timekeeper, "ANSWER_GRACE_SECONDS", 0.0)


def elapsed(run: Run) -> float:
    """Seconds that the execution's clock has moved."""
    return (run.now - run.execution.root.start_ms) / 1000


# -- order ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_grace")
async def test_timers_fire_in_the_order_of_their_times_whatever_their_kinds(world: World) -> None:
    world.host()
    timers = [
        wait("hour", HOUR),
        callback("callback", timeout_seconds=3),
        wait("week", 7 * DAY),
        retry("retry", 4),
        callback("heart", heartbeat_timeout_seconds=2 * HOUR),
        wait("second", 1),
    ]
    order: list[str] = []

    def script(run: Script) -> str:
        run.once(*timers)
        for each in timers:
            due = run.status(each.id) not in (OperationStatus.STARTED, OperationStatus.PENDING)
            if due and each.id not in order:
                order.append(each.id)
        return succeeded() if len(order) == len(timers) else PENDING

    run = await world.run(script)
    assert order == ["second", "callback", "retry", "hour", "heart", "week"]
    assert seconds_at(run, "CallbackTimedOut", "callback") == pytest.approx(3, abs=0.3)
    assert seconds_at(run, "WaitSucceeded", "hour") == pytest.approx(HOUR, abs=0.3)
    # Six instants, six invocations more: none may be handed two at once.
    assert len(run.invocations) == 7


async def test_time_stands_still_while_an_invocation_runs(world: World) -> None:
    world.host()
    workspace = world.workspace()
    go = asyncio.Event()

    async def script(run: Script) -> str:
        if run.once(wait("nap", HOUR)):
            await go.wait()
            return PENDING
        return succeeded()

    world.function(workspace, script)
    run = world.start(workspace)
    await world.until(run, lambda: "nap" in run.execution.operations)
    for _ in range(5):
        await asyncio.sleep(0)
    assert elapsed(run) < 60
    go.set()
    await world.ended(run)
    assert elapsed(run) >= HOUR


# -- whose clock ---------------------------------------------------------------------------


async def test_a_skip_in_one_execution_leaves_anothers_clock_alone(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(wait("nap", 10 * DAY)), "sleeper")
    go = asyncio.Event()

    async def works(run: Script) -> str:
        await go.wait()
        return succeeded()

    world.function(workspace, works, "worker")
    worker = world.start(workspace, "worker")
    sleeper = await world.ended(world.start(workspace, "sleeper"))
    assert elapsed(sleeper) >= 10 * DAY
    go.set()
    await world.ended(worker)
    assert seconds_at(worker, "ExecutionSucceeded") < 5


async def test_a_parent_and_the_child_that_it_invoked_share_a_clock(world: World) -> None:
    """The parent's one hour is over before its child's two hours."""
    world.host()
    workspace = world.workspace()
    seen: list[tuple[OperationStatus | None, OperationStatus | None, int]] = []

    def parent(run: Script) -> str:
        run.once(wait("nap", HOUR), invoke("call", "child"))
        hours = int(elapsed(world.executor.run(run.arn)) / HOUR)
        seen.append((run.status("nap"), run.status("call"), hours))
        return succeeded() if run.done("nap", "call") else PENDING

    world.function(workspace, parent)
    world.function(workspace, does(wait("nap", 2 * HOUR)), "child")
    run = await world.ended(world.start(workspace))

    assert seen == [(STARTED, STARTED, 0), (SUCCEEDED, STARTED, 1), (SUCCEEDED, SUCCEEDED, 2)]
    assert seconds_at(run, "WaitSucceeded") == pytest.approx(HOUR, abs=0.5)
    assert seconds_at(run, "ChainedInvokeSucceeded") == pytest.approx(2 * HOUR, abs=0.5)


@pytest.mark.parametrize("durable", [True, False])
async def test_nothing_is_skipped_while_a_chained_invoke_works(world: World, durable: bool) -> None:
    world.host()
    workspace = world.workspace()
    go = asyncio.Event()

    async def target(run: Script) -> str:
        await go.wait()
        return succeeded() if durable else "1"

    world.function(workspace, does(wait("nap", HOUR), invoke("call", "target")))
    world.function(workspace, target, "target", durable=durable)
    run = await world.suspended(world.start(workspace))
    with world.awaiting_end(run):
        for _ in range(5):
            await asyncio.sleep(0)
        assert elapsed(run) < 60
    go.set()
    await world.ended(run)
    assert elapsed(run) >= HOUR


# -- holds ---------------------------------------------------------------------------------


def approval(world: World, **options: int) -> Run:
    """Started: an execution that awaits one callback."""
    workspace = world.workspace()
    world.function(workspace, does(callback("approve", **({"timeout_seconds": HOUR} | options))))
    return world.start(workspace)


#: Long enough for something wrong to happen.
LONGER_THAN_THE_GRACE = timekeeper.ANSWER_GRACE_SECONDS + 1


async def test_a_callbacks_time_out_is_not_skipped_to_while_nobody_awaits_the_end(
    world: World,
) -> None:
    world.host()
    run = await world.suspended(approval(world))
    await world.passes(LONGER_THAN_THE_GRACE)
    assert run.execution.operations["approve"].status is OperationStatus.STARTED
    world.answer(run, "approve")
    await world.ended(run)
    assert elapsed(run) < 60


async def test_whoever_awaits_the_end_leaves_a_moment_to_answer(world: World) -> None:
    world.host()
    run = await world.suspended(approval(world))
    await world.passes(LONGER_THAN_THE_GRACE)
    with world.awaiting_end(run):
        await world.passes(timekeeper.ANSWER_GRACE_SECONDS * 0.9)
        assert run.execution.operations["approve"].status is STARTED
        await world.passes(timekeeper.ANSWER_GRACE_SECONDS * 0.2)
    assert run.execution.operations["approve"].status is TIMED_OUT
    assert seconds_at(run, "CallbackTimedOut") == pytest.approx(HOUR, abs=1)


async def test_an_answer_within_the_grace_averts_the_time_out(world: World) -> None:
    world.host()
    run = await world.suspended(approval(world))
    ended = asyncio.create_task(world.ended(run))
    await world.passes(timekeeper.ANSWER_GRACE_SECONDS * 0.9)
    world.answer(run, "approve")
    await ended
    assert run.execution.operations["approve"].result == '"yes"'
    assert elapsed(run) < 60


async def test_each_callback_has_a_grace_of_its_own(world: World) -> None:
    world.host()
    workspace = world.workspace()

    def script(run: Script) -> str:
        for name in ("first", "second"):
            if run.once(callback(name, timeout_seconds=HOUR)) or not run.done(name):
                return PENDING
        return succeeded()

    world.function(workspace, script)
    run = world.start(workspace)
    with world.awaiting_end(run):
        for name in ("first", "second"):
            await world.until(
                run, lambda name=name: run.execution.suspended and name in run.execution.operations
            )
            await world.passes(timekeeper.ANSWER_GRACE_SECONDS * 0.6)
            world.answer(run, name)
        await world.until(run, lambda: run.execution.ended)
    assert elapsed(run) < 60


async def test_time_holds_while_somebody_awaits_a_callback(world: World) -> None:
    world.host()
    run = await world.suspended(approval(world))
    with world.awaiting_end(run):
        with world.executor.timekeeper.awaiting_callback(run.family):
            await world.passes(LONGER_THAN_THE_GRACE)
            assert elapsed(run) < 60
        await world.until(run, lambda: run.execution.ended)
    assert events_of(run).count("CallbackTimedOut") == 1


async def test_time_holds_for_whoever_was_told_of_the_callback_during_the_run(
    world: World,
) -> None:
    world.host()
    run = await world.suspended(approval(world))
    ended = asyncio.create_task(world.ended(run))
    await asyncio.sleep(0)
    with world.executor.timekeeper.awaiting_callback(run.family):
        run.disclosed["approve"] = asyncio.get_running_loop().time()
    await world.passes(LONGER_THAN_THE_GRACE)
    assert elapsed(run) < 60
    world.answer(run, "approve")
    await ended


async def test_who_was_told_before_the_end_was_awaited_has_only_the_grace(world: World) -> None:
    """One thread: it fetched the callback, did not answer, and now waits for the end."""
    world.host()
    run = await world.suspended(approval(world))
    run.disclosed["approve"] = asyncio.get_running_loop().time()
    await world.ended(run)
    assert run.execution.operations["approve"].status is TIMED_OUT


async def test_other_timers_are_skipped_to_although_a_callback_is_open(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(callback("approve", timeout_seconds=2 * HOUR), wait("n", HOUR)))
    run = world.start(workspace)
    await world.until(run, lambda: "WaitSucceeded" in events_of(run))
    await world.passes(LONGER_THAN_THE_GRACE)
    assert HOUR <= elapsed(run) < 2 * HOUR
    world.answer(run, "approve")
    await world.ended(run)


async def test_the_executions_own_time_out_is_held_as_long_as_an_answer_could_avert_it(
    world: World,
) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(callback("approve")), execution_timeout_seconds=HOUR)
    run = await world.suspended(world.start(workspace))
    await world.passes(LONGER_THAN_THE_GRACE)
    assert not run.execution.ended
    await world.ended(run)
    assert run.execution.status is ExecutionStatus.TIMED_OUT


async def test_the_longest_execution_time_out_is_not_skipped_to_while_a_callback_is_open(
    world: World,
) -> None:
    """Nobody chose it, so nobody waits for it."""
    world.host()
    workspace = world.workspace()
    world.function(
        workspace, does(callback("a")), execution_timeout_seconds=limits.DURATION_SECONDS
    )
    run = await world.suspended(world.start(workspace))
    with world.awaiting_end(run):
        await world.passes(LONGER_THAN_THE_GRACE)
        assert not run.execution.ended


async def test_held_time_stands_still_until_the_end_is_awaited(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(wait("nap", HOUR)))
    run = await world.suspended(world.start(workspace, hold_time=True))
    await world.passes(LONGER_THAN_THE_GRACE)
    assert elapsed(run) < 60
    await world.ended(run)
    assert elapsed(run) >= HOUR


# -- advance -------------------------------------------------------------------------------


async def test_advance_crosses_timers_in_order_and_returns_once_all_is_settled(
    world: World,
) -> None:
    world.host()
    workspace = world.workspace()

    async def script(run: Script) -> str:
        if run.once(callback("approve", timeout_seconds=HOUR)):
            return PENDING
        await asyncio.sleep(0)
        if run.once(wait("nap", HOUR)):
            return PENDING
        return succeeded() if run.done("nap") else PENDING

    world.function(workspace, script)
    run = await world.suspended(world.start(workspace, hold_time=True))
    advance = world.executor.timekeeper.advance
    await advance(run.family, HOUR * 1000 - 60_000)
    assert run.execution.operations["approve"].status is OperationStatus.STARTED
    await advance(run.family, 120_000)
    assert run.execution.operations["approve"].status is TIMED_OUT
    # Its consequence is there too.
    assert run.execution.operations["nap"].status is OperationStatus.STARTED
    assert run.execution.suspended
    assert elapsed(run) == pytest.approx(HOUR + 60, abs=1)
    await advance(run.family, HOUR * 1000)
    assert run.execution.ended


async def test_advance_waits_for_chained_invokes_that_fall_due(world: World) -> None:
    world.host()
    workspace = world.workspace()
    go = asyncio.Event()

    async def plain(run: Script) -> str:
        await go.wait()
        return '"done"'

    def script(run: Script) -> str:
        run.once(wait("nap", HOUR))
        if run.done("nap"):
            run.once(invoke("call", "plain"))
        return succeeded() if run.done("nap", "call") else PENDING

    world.function(workspace, script)
    world.function(workspace, plain, "plain", durable=False)
    run = await world.suspended(world.start(workspace, hold_time=True))
    advance = asyncio.create_task(world.executor.timekeeper.advance(run.family, HOUR * 1000))
    await world.until(run, lambda: "call" in run.execution.operations and run.execution.suspended)
    assert not advance.done()
    go.set()
    await advance
    assert succeeded_with(run) is None


async def test_advance_works_where_time_is_real(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(wait("nap", HOUR)))
    run = await world.suspended(world.start(workspace, skip_time=False))
    await world.executor.timekeeper.advance(run.family, HOUR * 1000)
    assert run.execution.status is ExecutionStatus.SUCCEEDED


async def test_advance_ends_when_the_runner_is_closed(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(invoke("call", "plain")))
    world.function(workspace, for_ever, "plain", durable=False)
    run = await world.suspended(world.start(workspace))
    advance = asyncio.create_task(world.executor.timekeeper.advance(run.family, 1000))
    await asyncio.sleep(0)
    world.executor.close_workspace(workspace)
    await asyncio.wait_for(advance, 1)


@pytest.mark.parametrize("durable", [True, False])
async def test_advance_ends_when_a_stop_takes_back_an_invoke_not_yet_begun(
    world: World, durable: bool
) -> None:
    world.host()
    workspace = world.workspace()

    def script(run: Script) -> str:
        run.checkpoint(invoke("call", "target"))
        world.stop(world.executor.run(run.arn))
        return PENDING

    def target(_: Script) -> str:
        invoked.append("target")
        return succeeded()

    invoked: list[str] = []
    world.function(workspace, script)
    world.function(workspace, target, "target", durable=durable)
    run = world.start(workspace)
    await asyncio.wait_for(world.executor.timekeeper.advance(run.family, 1000), 1)
    # Nor does it begin later.
    assert run.family.calls == 0
    await world.passes(1)
    assert invoked == []


async def test_advance_ends_when_a_stop_takes_back_an_invoke_that_is_queued(world: World) -> None:
    world.host()
    workspace = world.workspace(workers=1)
    go = asyncio.Event()

    async def blocks(run: Script) -> str:
        await go.wait()
        return succeeded()

    world.function(workspace, does(invoke("call", "plain")))
    world.function(workspace, lambda _: "1", "plain", durable=False)
    world.function(workspace, blocks, "blocks")
    run = world.start(workspace)
    world.start(workspace, "blocks")
    await world.suspended(run)
    assert run.family.calls == 1
    advance = asyncio.create_task(world.executor.timekeeper.advance(run.family, 1000))
    await asyncio.sleep(0)
    world.stop(run)
    go.set()
    await asyncio.wait_for(advance, 1)


# -- real time -----------------------------------------------------------------------------


async def test_without_skipping_a_timer_takes_its_real_time(world: World) -> None:
    """The clock is set to shortly before the end, so that the test need not wait as long."""
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(wait("nap", HOUR)))
    run = await world.suspended(world.start(workspace, skip_time=False))
    run.family.clock.jump(T0 + HOUR * 1000 - 200)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await world.ended(run)
    assert 0.1 < loop.time() - began < 1.0


async def test_in_real_time_an_hour_does_not_pass_by_itself(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(wait("nap", HOUR)))
    run = world.start(workspace, skip_time=False)
    with world.awaiting_end(run):
        assert not await until(world.executor, run, lambda: run.execution.ended, 0.1)
