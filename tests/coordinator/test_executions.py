"""An execution from start to end: invocations, retries, names, time-out, stop."""

from __future__ import annotations

import asyncio
import sys

import pytest

from async_durable_execution_runner.coordinator.until import until
from async_durable_execution_runner.core.events import TimePassed
from async_durable_execution_runner.core.model import ErrorObject, ExecutionStatus, OperationStatus
from async_durable_execution_runner.errors import (
    CallbackTimeout,
    DurableExecutionAlreadyStarted,
    InvalidCheckpointToken,
    InvalidParameterValue,
    ResourceNotFound,
)

from .world import (
    DAY,
    HOUR,
    PENDING,
    T0,
    Script,
    World,
    callback,
    does,
    event,
    events_of,
    for_ever,
    invoke,
    retry,
    seconds_at,
    step,
    succeeded,
    succeeded_with,
    wait,
)


async def test_a_handler_that_returns_ends_its_execution(world: World) -> None:
    host = world.host()

    def script(run: Script) -> str:
        run.checkpoint(step("one", '"a"'))
        return succeeded({"got": run.input})

    run = await world.run(script, payload='{"n": 1}')

    assert succeeded_with(run) == {"got": {"n": 1}}
    assert events_of(run) == [
        "ExecutionStarted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    (record,) = run.invocations
    assert (record.outcome, record.error) == ("SUCCEEDED", None)
    assert (record.worker_id, record.pid) == (host.started[0], 4711)
    assert record.request_id == event(run, "InvocationCompleted").request_id


async def test_a_wait_of_30_days_is_skipped_and_leaves_the_right_times(world: World) -> None:
    world.host()
    began = asyncio.get_running_loop().time()
    run = await world.run(does(wait("nap", 30 * DAY), result="done"))

    assert asyncio.get_running_loop().time() - began < 1
    assert succeeded_with(run) == "done"
    assert [record.outcome for record in run.invocations] == ["PENDING", "SUCCEEDED"]
    nap = run.execution.operations["nap"]
    assert nap.end_ms == nap.scheduled_end_ms == nap.start_ms + 30 * DAY * 1000
    assert T0 <= nap.start_ms < T0 + 1000
    assert 30 * DAY <= seconds_at(run, "ExecutionSucceeded") < 30 * DAY + 1
    times = [each.timestamp_ms for each in run.execution.history]
    assert times == sorted(times)


async def test_what_fell_due_during_an_invocation_is_followed_by_a_replay(world: World) -> None:
    """A handler that suspends cannot have seen it."""
    world.host()

    def script(run: Script) -> str:
        if run.once(wait("nap", 10)):
            # As long a time as an invocation may take; no test should.
            run.executor.runs[run.arn].family.clock.jump(T0 + 60_000)
            return PENDING
        assert run.status("nap") is OperationStatus.SUCCEEDED
        return succeeded()

    run = await world.run(script)
    assert 60 <= seconds_at(run, "ExecutionSucceeded") < 61


# -- invocations that fail -----------------------------------------------------------------


async def test_a_failed_invocation_is_retried_after_a_backoff_in_virtual_time(world: World) -> None:
    world.host()

    def script(run: Script) -> str:
        if len(run.executor.runs[run.arn].invocations) < 3:
            run.print("trying")
            raise ValueError("not yet")
        return succeeded("at last")

    run = await world.run(script)

    assert succeeded_with(run) == "at last"
    first, second, third = run.invocations
    assert first.error == second.error == ErrorObject("not yet", "ValueError")
    assert [first.outcome, second.outcome, third.outcome] == ["ERROR", "ERROR", "SUCCEEDED"]
    assert [line.text for line in second.output] == ["trying"]
    # 1 s, then twice as much.
    assert 1000 <= second.start_ms - first.start_ms < 1500
    assert 2000 <= third.start_ms - second.start_ms < 2500


async def test_more_failures_in_a_row_than_allowed_fail_the_execution(world: World) -> None:
    world.host()

    def script(run: Script) -> str:
        raise ValueError(f"number {len(run.executor.runs[run.arn].invocations)}")

    run = await world.run(script, retries=2)

    assert run.execution.status is ExecutionStatus.FAILED
    assert run.execution.root.error == ErrorObject("number 3", "ValueError")
    completed = [each for each in run.execution.history if each.type.value == "InvocationCompleted"]
    assert [each.error.message for each in completed if each.error] == [
        "number 1",
        "number 2",
        "number 3",
    ]


async def test_progress_between_failures_makes_the_count_start_afresh(world: World) -> None:
    world.host()

    def script(run: Script) -> str:
        count = len(run.executor.runs[run.arn].invocations)
        if count % 2:
            raise ValueError("odd")
        if count < 8:
            run.checkpoint(step(f"step-{count}"), wait(f"wait-{count}", 1))
            return PENDING
        return succeeded()

    run = await world.run(script, retries=1)
    assert [record.outcome for record in run.invocations] == [
        *(["ERROR", "PENDING"] * 3),
        "ERROR",
        "SUCCEEDED",
    ]


@pytest.mark.parametrize(
    "output",
    [
        "null",
        "not json",
        "[1]",
        '"text"',
        "{}",
        '{"Status": "DONE"}',
        '{"Status": []}',
        '{"Status": "SUCCEEDED", "Result": 1}',
        '{"Status": "FAILED", "Error": "text"}',
        "[" * 100_000,
    ],
    ids=lambda output: output[:30],
)
async def test_an_output_that_is_none_fails_the_execution_at_once(
    world: World, output: str
) -> None:
    world.host()
    run = await world.run(lambda _: output, retries=5)
    assert len(run.invocations) == 1
    error = run.execution.root.error
    assert error is not None
    assert error.message is not None
    assert error.message.startswith(
        "The handler returned something that is not an invocation output"
    )


async def test_text_that_no_message_can_carry_is_made_harmless(world: World) -> None:
    """A file name that is no UTF-8, say, in the message of a handler's exception."""
    world.host()
    error = r'{"ErrorMessage": "no caf\udce9", "StackTrace": ["\ud800"]}'
    run = await world.run(lambda _: f'{{"Status": "FAILED", "Error": {error}}}')
    failure = run.execution.root.error
    assert failure is not None
    assert failure.message == r"no caf\udce9"
    assert failure.stack_trace == (r"\ud800",)
    run = await world.run(lambda _: r'{"Status": "SUCCEEDED", "Result": "\ud800"}')
    assert run.execution.root.result == r"\ud800"


async def test_a_handler_that_fails_for_good_fails_its_execution_at_once(world: World) -> None:
    world.host()
    failed = (
        '{"Status": "FAILED", "Error": {"ErrorMessage": "no", "ErrorType": "Refused",'
        ' "ErrorData": "{}", "StackTrace": ["a", "b"]}}'
    )
    run = await world.run(lambda _: failed)
    assert len(run.invocations) == 1
    assert run.execution.root.error == ErrorObject("no", "Refused", "{}", ("a", "b"))


# -- names ---------------------------------------------------------------------------------


async def test_the_same_name_and_input_is_the_same_execution(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded())
    first = world.start(workspace, execution_name="o-1", payload='{"a": 1}')
    assert world.start(workspace, execution_name="o-1", payload='{"a": 1}') is first
    await world.ended(first)
    assert world.start(workspace, execution_name="o-1", payload='{"a": 1}') is first
    assert len(first.invocations) == 1


async def test_the_same_name_with_another_input_is_refused(world: World) -> None:
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded())
    world.function(workspace, lambda _: succeeded(), "other")
    world.start(workspace, execution_name="o-1", payload="1")
    with pytest.raises(DurableExecutionAlreadyStarted, match=r"'o-1' of order .* another input"):
        world.start(workspace, execution_name="o-1", payload="2")
    # A name is unique per function, and per runner.
    world.start(workspace, "other", execution_name="o-1", payload="2")
    elsewhere = world.workspace()
    world.function(elsewhere, lambda _: succeeded())
    world.start(elsewhere, execution_name="o-1", payload="2")


async def test_only_a_durable_function_that_is_there_can_be_started(world: World) -> None:
    workspace = world.workspace()
    world.function(workspace, lambda _: "1", "plain", durable=False)
    with pytest.raises(InvalidParameterValue, match="plain is not a durable function"):
        world.start(workspace, "plain")
    with pytest.raises(ResourceNotFound, match="function:nowhere"):
        world.start(workspace, "nowhere")
    assert workspace.runs == {}


async def test_an_arn_tells_function_name_and_a_unique_id(world: World) -> None:
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded())
    run = world.start(workspace, execution_name="o-1")
    head, _, unique = run.arn.rpartition("/")
    assert head == (
        "arn:aws:lambda:us-east-1:123456789012:function:order:$LATEST/durable-execution/o-1"
    )
    assert run.execution.root.id == unique


# -- ends from outside ---------------------------------------------------------------------


async def test_an_execution_that_passes_its_time_out_is_timed_out(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(wait("nap", 2 * HOUR)), execution_timeout_seconds=HOUR)
    run = world.start(workspace)
    # Nobody need await it: nothing could avert it.
    await world.until(run, lambda: run.execution.ended)

    assert run.execution.status is ExecutionStatus.TIMED_OUT
    assert run.execution.root.error is None
    assert seconds_at(run, "ExecutionTimedOut") == HOUR
    assert run.execution.operations["nap"].status is OperationStatus.STARTED


async def test_a_stop_ends_it_at_once_and_the_invocation_learns_at_its_next_checkpoint(
    world: World,
) -> None:
    world.host()
    workspace = world.workspace()
    stopped = asyncio.Event()
    refusals = []

    async def script(run: Script) -> str:
        run.checkpoint(step("before"))
        await stopped.wait()
        with pytest.raises(InvalidCheckpointToken) as refusal:
            run.checkpoint(step("after"))
        refusals.append(str(refusal.value))
        return succeeded("too late")

    world.function(workspace, script)
    run = world.start(workspace)
    await world.until(run, lambda: "before" in run.execution.operations)
    world.stop(run)
    assert run.execution.status is ExecutionStatus.STOPPED
    assert run.execution.root.error == ErrorObject("enough", "Stopped")

    stopped.set()
    await world.until(run, lambda: run.invocations[0].end_ms is not None)
    assert refusals == ["Invalid checkpoint token"]
    assert run.execution.status is ExecutionStatus.STOPPED
    assert events_of(run)[-2:] == ["ExecutionStopped", "InvocationCompleted"]
    assert list(run.execution.operations) == [run.execution.id, "before"]


@pytest.mark.parametrize("hosts", [0, 1])
async def test_nothing_starts_after_a_stop(world: World, hosts: int) -> None:
    """Neither a queued invocation nor one whose back-off was running."""
    for _ in range(hosts):
        world.host()
    workspace = world.workspace()
    ran = []

    def script(run: Script) -> str:
        ran.append(run.request_id)
        raise ValueError("again")

    world.function(workspace, script)
    # In real time, so that the back-off lasts.
    run = world.start(workspace, skip_time=False)
    if hosts:
        await world.until(run, lambda: len(run.invocations) == 1 and run.lease is None)
    world.stop(run)
    world.host()
    other = world.start(workspace, execution_name="other")
    await world.ended(other)
    assert len(run.invocations) == hosts
    assert len(ran) == hosts + len(other.invocations)


async def test_stopping_what_has_ended_changes_nothing(world: World) -> None:
    world.host()
    run = await world.run(lambda _: succeeded(1))
    history = list(run.execution.history)
    world.stop(run)
    assert run.execution.history == history
    assert run.execution.status is ExecutionStatus.SUCCEEDED


# -- those who wait ------------------------------------------------------------------------


async def test_who_waits_too_short_is_told_so_and_the_execution_goes_on(world: World) -> None:
    world.host()
    workspace = world.workspace()
    go = asyncio.Event()

    async def script(run: Script) -> str:
        await go.wait()
        return succeeded()

    world.function(workspace, script)
    run = world.start(workspace)
    assert not await until(world.executor, run, lambda: run.execution.ended, 0.01)
    assert run.watchers == []
    go.set()
    await world.ended(run)


async def test_an_end_by_a_timer_is_seen_although_the_event_that_found_it_is_refused(
    world: World,
) -> None:
    """An answer that comes just after the execution's time-out, before its timer has fired."""
    world.host()
    workspace = world.workspace()
    world.function(
        workspace,
        lambda run: PENDING if run.once(wait("nap", 9)) else succeeded(),
        execution_timeout_seconds=5,
    )
    run = world.start(workspace, skip_time=False)
    await world.suspended(run)
    ended = asyncio.create_task(world.ended(run))
    await asyncio.sleep(0)

    run.family.clock.jump(T0 + 6000)
    with pytest.raises(InvalidCheckpointToken):
        world.executor.checkpoint(run.arn, "garbage", (), None)
    await asyncio.wait_for(ended, 1)
    assert run.execution.status is ExecutionStatus.TIMED_OUT


async def test_what_is_due_happens_before_whatever_comes_later(world: World) -> None:
    """The loop is late to fire timers, and an answer or a heartbeat is there first."""
    world.host()
    workspace = world.workspace()
    timers = callback("open"), callback("late", timeout_seconds=5), wait("nap", 9)
    world.function(workspace, does(*timers))
    run = await world.suspended(world.start(workspace, skip_time=False))
    run.family.clock.jump(T0 + 10_000)
    with pytest.raises(CallbackTimeout):
        world.answer(run, "late")
    assert run.execution.operations["nap"].status is OperationStatus.SUCCEEDED
    # Counted from the checkpoint, which may have taken its time to come.
    began = seconds_at(run, "WaitStarted")
    ends = seconds_at(run, "CallbackTimedOut"), seconds_at(run, "WaitSucceeded")
    assert [round(end - began, 3) for end in ends] == [5, 9]
    # What follows from it happens too.
    await world.until(run, lambda: len(run.invocations) == 2)
    world.answer(run, "open")
    await world.ended(run)


async def test_a_turn_is_over_before_the_invocation_that_it_asks_for_begins(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(wait("nap", 9)))
    run = await world.suspended(world.start(workspace, skip_time=False))
    turns: list[tuple[bool, int]] = []

    def see() -> bool:
        turns.append((run.execution.suspended, len(run.invocations)))
        return run.execution.ended

    watching = asyncio.create_task(run.watch(see))
    await asyncio.sleep(0)
    run.family.clock.jump(T0 + 10_000)
    world.executor.feed(run, TimePassed(run.now))
    assert turns == [(False, 1), (False, 2)]
    assert await watching


@pytest.mark.parametrize("isolated", [False, True])
async def test_an_unending_handler_keeps_nobody_else_waiting(world: World, isolated: bool) -> None:
    world.host()
    workspace = world.workspace(workers=2)
    world.function(workspace, for_ever, "stuck")
    world.function(workspace, does(retry("r", 5)) if isolated else lambda _: succeeded())
    world.start(workspace, "stuck")
    run = world.start(workspace)
    if isolated:
        await world.until(run, lambda: len(run.invocations) == 2)
    else:
        await world.ended(run)


async def test_a_checkpoint_calls_as_much_beside_many_open_executions(world: World) -> None:
    """Nothing goes through all executions, whose number is not bounded."""
    world.host()
    workspace, calls = world.workspace(), list[int]()
    world.function(workspace, does(callback("c")), name="waits")

    def script(run: Script) -> str:
        calls.append(0)

        def count(*_: object) -> None:
            calls[-1] += 1

        sys.setprofile(count)
        run.checkpoint(step("s"))
        sys.setprofile(None)
        return succeeded()

    world.function(workspace, script)
    await world.ended(world.start(workspace))
    for _ in range(200):
        await world.suspended(world.start(workspace, "waits"))
    await world.ended(world.start(workspace))
    assert calls[1] - calls[0] in range(-5, 6)


async def test_a_checkpoint_calls_as_much_deep_in_a_chain(world: World) -> None:
    """Nothing goes through all members of a family."""
    world.host()
    workspace, calls, deep = world.workspace(), list[int](), asyncio.Event()
    goes_on = does(invoke("call", "order"))

    def script(run: Script) -> str:
        calls.append(0)

        def count(*_: object) -> None:
            calls[-1] += 1

        if len(calls) > 200:
            deep.set()
        sys.setprofile(count)
        answer = goes_on(run)
        sys.setprofile(None)
        return answer

    world.function(workspace, script)
    world.start(workspace)
    await deep.wait()
    world.executor.close_workspace(workspace)
    assert calls[199] - calls[9] in range(-5, 6)
