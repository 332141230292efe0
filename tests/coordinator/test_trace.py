"""What the log says of executions and of the pool, in the order in which it happens."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from async_durable_execution_runner.coordinator.executor import Executor
from async_durable_execution_runner.coordinator.runs import Run
from async_durable_execution_runner.coordinator.trace import of_command, of_event
from async_durable_execution_runner.core import commands, events, tokens
from async_durable_execution_runner.core.model import (
    ErrorObject,
    ExecutionStatus,
    Isolation,
    OperationStatus,
)

from .world import (
    KILLED,
    PENDING,
    T0,
    Died,
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

LOGGER = "async_durable_execution_runner.coordinator"
SECRET = "s3cret"


@pytest.fixture(autouse=True)
def listening(caplog: pytest.LogCaptureFixture) -> None:
    """Before there is a world, which looks once whether somebody listens."""
    caplog.set_level("DEBUG", LOGGER)


@pytest.fixture
async def run(world: World) -> Run:
    """An execution that waits for two callbacks and a chained invoke."""
    world.host()
    workspace = world.workspace()
    world.function(workspace, for_ever, "ship")
    updates = callback("first", name="approval"), callback("second"), invoke("third", "ship")
    world.function(workspace, does(*updates))
    return await world.suspended(world.start(workspace, hold_time=True))


def given_events(run: Run) -> dict[type, list[Any]]:
    """Instances of each class of events."""
    error = ErrorObject(SECRET, "ValueError", data=SECRET, stack_trace=(SECRET,))
    callback_id = tokens.callback_id(run.arn, "first")
    ended = OperationStatus.SUCCEEDED
    return {
        events.Started: [events.Started(T0, SECRET)],
        events.InvocationStarted: [events.InvocationStarted(T0, "request", SECRET)],
        events.InvocationReturned: [
            events.InvocationReturned(T0, "request", events.Outcome.PENDING),
            events.InvocationReturned(T0, "request", events.Outcome.SUCCEEDED, SECRET),
            events.InvocationReturned(T0, "request", events.Outcome.FAILED, None, error),
        ],
        events.InvocationFailed: [events.InvocationFailed(T0, "request", error)],
        events.Checkpoint: [
            events.Checkpoint(T0, SECRET, ()),
            events.Checkpoint(
                T0,
                SECRET,
                (
                    step("a", SECRET),
                    retry("b", 90),
                    callback("c", timeout_seconds=60),
                    wait("d", 1),
                ),
            ),
            events.Checkpoint(T0, SECRET, (invoke("e", "ship", payload=SECRET),)),
            events.Checkpoint(T0, SECRET, tuple(step(str(n), SECRET) for n in range(5000))),
        ],
        events.TimePassed: [events.TimePassed(T0)],
        events.CallbackSucceeded: [
            events.CallbackSucceeded(T0, callback_id, SECRET),
            events.CallbackSucceeded(T0, tokens.callback_id(run.arn, "nobody")),
        ],
        events.CallbackFailed: [events.CallbackFailed(T0, callback_id, error)],
        events.CallbackHeartbeat: [events.CallbackHeartbeat(T0, callback_id)],
        events.ChainedInvokeEnded: [
            events.ChainedInvokeEnded(T0, "third", ended, SECRET),
            events.ChainedInvokeEnded(T0, "third", OperationStatus.FAILED, None, error),
        ],
        events.Stopped: [events.Stopped(T0, error)],
    }


def given_commands(run: Run) -> dict[type, list[Any]]:
    operations = list(run.execution.operations.values())
    return {
        commands.Invoke: [commands.Invoke()],
        commands.Deliver: [commands.Deliver(SECRET, operations, "4", ["first"])],
        commands.Reply: [commands.Reply(SECRET, operations), commands.Reply(None, [])],
        commands.InvokeFunction: [commands.InvokeFunction("third", "ship", SECRET, None)],
        commands.Finish: [commands.Finish(ExecutionStatus.SUCCEEDED)],
    }


async def test_every_event_has_a_line_without_its_payloads(run: Run):
    given = given_events(run)
    assert given.keys() == set(get_args(events.Event))
    for kind, instances in given.items():
        for line in (of_event(run, each) for each in instances):
            assert re.match(rf"{kind.__name__}: \S", line), line
            assert SECRET not in line
            assert len(line) < 400


async def test_every_command_has_a_line_without_its_payloads(run: Run):
    given = given_commands(run)
    assert given.keys() == set(get_args(commands.Command))
    for kind, instances in given.items():
        for line in (of_command(run, each) for each in instances):
            assert re.match(rf"{kind.__name__}: \S", line), line
            assert SECRET not in line
            assert len(line) < 400


async def test_lines_in_full(run: Run):
    given = {kind.__name__: instances for kind, instances in given_events(run).items()}
    lines = {name: [of_event(run, each) for each in given[name]] for name in given}
    assert lines["Checkpoint"] == [
        "Checkpoint: no updates, it asks for what is new",
        "Checkpoint: STEP SUCCEED a (6 bytes), STEP RETRY b (again in 1.5 min), "
        "CALLBACK START c (time-out 1 min), WAIT START d (1 s)",
        "Checkpoint: CHAINED_INVOKE START e (of 'ship', 6 bytes)",
        "Checkpoint: "
        + "".join(f"STEP SUCCEED {n} (6 bytes), " for n in range(8))
        + "and 4992 more",
    ]
    assert lines["CallbackSucceeded"][0] == "CallbackSucceeded: callback 'approval' (6 bytes)"
    assert lines["ChainedInvokeEnded"][1] == (
        "ChainedInvokeEnded: third FAILED, ValueError (its message has 6 bytes)"
    )


# -- stories -------------------------------------------------------------------------------


def in_order(messages: list[str], *parts: str) -> None:
    """Each is a part of a message, in this order."""
    rest = iter(messages)
    for part in parts:
        story = "\n".join(messages)
        assert any(part in each for each in rest), f"{part!r} is not there, or too late:\n{story}"


async def test_an_invocation_that_no_worker_is_free_for(
    world: World, caplog: pytest.LogCaptureFixture
):
    world.host(slots=1)
    workspace = world.workspace(workers=1)
    world.function(workspace, for_ever)
    first = world.start(workspace)
    await world.invoked(first)
    caplog.clear()
    for _ in range(2):
        world.start(workspace)
    busy = "waits for a free worker: 1 of this runner's 1 are busy"
    in_order(caplog.messages, f": queued, {busy}", f": queued behind 1, {busy}")


async def test_workers_that_end_before_they_are_ready(
    world: World, caplog: pytest.LogCaptureFixture
):
    world.host().stillborn = KILLED
    workspace = world.workspace()
    world.function(workspace, for_ever)
    run = world.start(workspace)
    await world.passes(0)
    with pytest.raises(Exception, match="cannot be started"):
        await world.ended(run)
    world.start(workspace)
    in_order(
        caplog.messages,
        "host host-1: joined with 8 slots (pid 1)",
        ": starting on host host-1",
        ": queued, waits for a worker, which is being started",
        ": gone (pid 0), signal: killed",
        "no worker is started any more: 3 workers in a row ended before they were ready",
        ": queued behind 1, waits for a worker, but none can be started: 3 workers",
    )


async def test_an_invocation_that_takes_too_long(world: World, caplog: pytest.LogCaptureFixture):
    world.host()
    await world.run(for_ever, timeout_seconds=0.05, retries=0)
    in_order(
        caplog.messages,
        ": its time of 0.05 s is over, worker ",
        ": was looked at, waits",
        ": to be killed, the time of its invocation is over",
        "; it had invocation ",
        ">> InvocationFailed: invocation id-3, Sandbox.Timedout: RequestId: id-3 Error: Task timed",
        "<< Finish: FAILED, Sandbox.Timedout",
    )


async def test_an_inline_handler_that_takes_too_long(
    world: World, caplog: pytest.LogCaptureFixture
):
    workspace = world.workspace(retries=0)
    world.function(workspace, for_ever, isolation=Isolation.INLINE, timeout_seconds=0.05)
    first = world.start(workspace)
    world.inline_worker(workspace)
    second = world.start(workspace)
    await world.ended(first)
    third = world.start(workspace)
    for run in (second, third):
        world.stop(run)
    in_order(
        caplog.messages,
        ": queued, waits for an inline worker, which is being started",
        ": leased to inline worker inline",
        ": queued, waits for a free inline worker: 1 of 1 are busy",
        "inline worker inline: stuck, its lease is over and its handler goes on",
        "waits for a free inline worker: 1 of 1 are in handlers that passed their deadline, which "
        "a thread cannot be stopped from",
    )


async def test_a_worker_that_dies(world: World, caplog: pytest.LogCaptureFixture):
    world.host()

    def script(run: Script) -> str:
        if len(world.executor.run(run.arn).invocations) == 1:
            raise Died
        return succeeded()

    await world.run(script)
    in_order(
        caplog.messages,
        ": to be killed, its session has ended",
        "), signal: killed; it had invocation ",
        ">> InvocationFailed: invocation id-3, Runtime.ExitError: RequestId: id-3 Error: Runtime",
        ".. waits for its invocation retry, due at ",
        ".. time skips 1 s, to when its invocation retry is due",
        "<< Finish: SUCCEEDED",
    )


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({}, ".. time skips 1 min, to when wait is due"),
        ({"skip_time": False}, ".. wait is due in 1 min of real time"),
        (
            {"hold_time": True},
            ".. wait is due in 1 min of real time; time is not skipped before somebody waits for",
        ),
    ],
)
async def test_when_time_goes_on(
    world: World, caplog: pytest.LogCaptureFixture, how: dict[str, Any], line: str
):
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(wait("nap", 60)))
    await world.suspended(world.start(workspace, **how))
    in_order(caplog.messages, ".. waits for wait until ", line)


async def test_when_time_goes_on_unless_there_is_an_answer(
    world: World, caplog: pytest.LogCaptureFixture
):
    world.host()
    await world.run(does(callback("asked", name="approval", timeout_seconds=60)))
    in_order(
        caplog.messages,
        ".. waits for callback 'approval', unanswered",
        ".. in 0.3 s, unless there is an answer before, time skips 1 min, to when time-out of "
        "callback 'approval' is due",
        ">> TimePassed: it is 2025-06-15 15:07:",
    )


async def test_a_runner_that_is_closed(world: World, caplog: pytest.LogCaptureFixture):
    host = world.host(slots=1)
    workspace = world.workspace(workers=1)
    world.function(workspace, for_ever)
    await world.invoked(world.start(workspace))
    world.start(workspace)
    world.executor.close_workspace(workspace)
    host.leave()
    in_order(
        caplog.messages,
        "1 queued invocations are dropped: their runner was closed",
        ": to be killed, its runner was closed",
        "host host-1: left, and with it 1 workers",
    )


async def test_an_execution_that_ends_while_it_is_queued(
    world: World, caplog: pytest.LogCaptureFixture
):
    workspace = world.workspace()
    world.function(workspace, lambda _: PENDING)
    run = world.start(workspace)
    world.stop(run)
    world.host()
    await world.passes(0)
    in_order(
        caplog.messages,
        ": queued, waits for a worker host, but none is connected",
        ">> Stopped: by a call, Stopped (its message has 6 bytes)",
        "<< Finish: STOPPED",
        ": dropped, its execution has ended",
    )


async def test_where_nobody_listens_nothing_is_made(caplog: pytest.LogCaptureFixture):
    caplog.set_level("WARNING", LOGGER)
    executor = Executor(lambda: "id", lambda: "seed")
    made = (executor, executor.leases, executor.pool, executor.timekeeper)
    assert [each._trace if each is executor else each._say for each in made] == [None] * 4
