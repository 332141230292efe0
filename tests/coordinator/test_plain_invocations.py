"""Plain functions that are invoked from outside, with no execution around them."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest

from async_durable_execution_runner.coordinator.effects import _PLAIN_KEPT
from async_durable_execution_runner.coordinator.lambda_functions import (
    LambdaFunctions,
    invoke_plain,
)
from async_durable_execution_runner.coordinator.runs import (
    InvocationState,
    Lease,
    PlainInvocation,
    Workspace,
)
from async_durable_execution_runner.coordinator.workers import ExitCause, Job, WorkerExit
from async_durable_execution_runner.core.model import Effect, ErrorObject, Isolation
from async_durable_execution_runner.errors import ResourceNotFound, WorkersUnavailable

from .world import KILLED, Died, Script, World, for_ever


def invoke(world: World, workspace: Workspace, **own: Any) -> PlainInvocation:
    function = world.function(workspace, durable=False, **own)
    invocation = PlainInvocation(workspace, function, "[1]", "acme", "{}")
    invoke_plain(world.executor, invocation)
    return invocation


def record_of(invocation: PlainInvocation) -> InvocationState:
    assert invocation.invocation is not None
    return invocation.invocation


async def test_its_output_is_the_outcome(world: World) -> None:
    def script(run: Script) -> str:
        run.print("hello")
        return json.dumps({"request": run.request_id})

    world.host()
    invocation = invoke(world, world.workspace(), code=script)
    assert json.loads(await invocation.outcome) == {"request": record_of(invocation).request_id}
    record = record_of(invocation)
    assert [line.text for line in record.output] == ["hello"]
    assert record.end_ms is not None
    assert record.end_ms >= record.start_ms > 0
    assert (record.outcome, record.error) == ("", None)


async def test_its_failure_is_the_outcome(world: World) -> None:
    def script(run: Script) -> str:
        raise ValueError("no credit")

    world.host()
    invocation = invoke(world, world.workspace(), code=script)
    assert await invocation.outcome == ErrorObject("no credit", "ValueError")
    assert record_of(invocation).outcome == "ERROR"


@pytest.mark.parametrize("exit", [KILLED, WorkerExit(ExitCause.EXITED, exit_code=3)])
async def test_the_death_of_its_worker_is_the_outcome(world: World, exit: WorkerExit) -> None:
    def script(run: Script) -> str:
        raise Died(exit)

    world.host()
    outcome = await invoke(world, world.workspace(), code=script).outcome
    assert isinstance(outcome, ErrorObject)
    assert outcome.type == "Runtime.ExitError"


async def test_its_deadline_is_the_outcome(world: World) -> None:
    world.host()
    outcome = await invoke(world, world.workspace(), code=for_ever, timeout_seconds=0.01).outcome
    assert isinstance(outcome, ErrorObject)
    assert outcome.type == "Sandbox.Timedout"


async def test_nobody_has_to_wait_for_it(world: World) -> None:
    host = world.host()
    workspace = world.workspace(workers=1)
    invocation = invoke(world, workspace, code=lambda _: "1")
    invocation.outcome.cancel()
    assert await invoke(world, workspace, code=lambda _: "2").outcome == "2"
    assert record_of(invocation).end_ms is not None
    assert len(host.started) == 1


async def test_where_no_worker_can_be_started_it_says_so(world: World) -> None:
    host = world.host()
    host.stillborn = WorkerExit(ExitCause.NOT_STARTED, detail="no memory")
    workspace = world.workspace()
    with pytest.raises(WorkersUnavailable, match="no memory"):
        await invoke(world, workspace, code=lambda _: "1").outcome
    with pytest.raises(WorkersUnavailable, match="no memory"):
        await invoke(world, workspace, code=lambda _: "1").outcome


async def test_what_runs_inline_needs_no_process(world: World) -> None:
    host = world.host()
    host.stillborn = WorkerExit(ExitCause.NOT_STARTED, detail="no memory")
    workspace = world.workspace()
    inline = invoke(world, workspace, code=lambda _: "1", isolation=Isolation.INLINE, name="in")
    with pytest.raises(WorkersUnavailable):
        await invoke(world, workspace, code=lambda _: "1").outcome
    world.inline_worker(workspace)
    assert await inline.outcome == "1"


@pytest.mark.parametrize("leased", [False, True])
async def test_it_ends_with_its_runner(world: World, leased: bool) -> None:
    running = asyncio.Event()

    async def script(run: Script) -> str:
        running.set()
        return await for_ever(run)

    workspace = world.workspace()
    invocation = invoke(world, workspace, code=script)
    if leased:
        world.host()
        await running.wait()
    world.executor.close_workspace(workspace)
    with pytest.raises(ResourceNotFound, match="closed"):
        await invocation.outcome


async def test_its_effects_are_taken_and_belong_to_no_execution(world: World) -> None:
    taken: list[Effect] = []

    async def script(run: Script) -> str:
        said = Effect(run.request_id, "charge", "{}")
        taken.append(run.executor.effects.enter(said))
        return "1"

    world.host()
    invocation = invoke(world, world.workspace(), code=script)
    await invocation.outcome
    (effect,) = taken
    assert (effect.function_name, effect.execution_arn) == ("order", "")
    assert not effect.stale
    late = world.executor.effects.enter(Effect(record_of(invocation).request_id, "charge", "{}"))
    assert late.stale


async def test_nothing_large_is_kept_of_one_that_has_ended(world: World) -> None:
    """Neither payload nor result, output or lease: an effect needs the function's name only."""
    host = world.host()
    invocation = invoke(world, world.workspace(), code=lambda _: "1")
    assert await invocation.outcome == "1"
    request_id, workspace = record_of(invocation).request_id, invocation.workspace
    for worker in host.workers.values():
        await worker.finished()
        worker.scripts.clear()
        worker.tasks.clear()
    del invocation
    gc.collect()
    for kept in gc.get_objects():
        assert not (isinstance(kept, PlainInvocation) and kept.workspace is workspace)
        assert not (isinstance(kept, Lease) and kept.job.share is workspace.share)
    assert world.executor.effects.enter(Effect(request_id, "charge", "{}")).stale


async def test_of_those_that_have_ended_only_the_last_are_kept(world: World) -> None:
    host = world.host()
    workspace = world.workspace()
    invocation = invoke(world, workspace, code=lambda _: "1")
    await invocation.outcome
    said = Effect(record_of(invocation).request_id, "charge", "{}")
    (worker,) = host.workers.values()

    def add(request_id: str) -> None:
        job = Job(request_id, workspace.share, invocation.function, "")
        state = InvocationState(request_id, "w", 1, 0)
        world.executor.effects.add(Lease(job, worker.worker, invocation, state))

    for number in range(_PLAIN_KEPT - 1):
        add(f"{number}")
    assert world.executor.effects.enter(said).stale
    add("one too many")
    with pytest.raises(ResourceNotFound):
        world.executor.effects.enter(said)


# -- events ----------------------------------------------------------------------------------


async def send(world: World, workspace: Workspace, skip_time: bool, **own: Any) -> str:
    """An event of which nobody waits for the end; the id of its requests."""
    world.function(workspace, durable=False, **own)
    functions = LambdaFunctions(world.executor, workspace, world.executor.new_id, skip_time, None)
    answer = await functions.invoke({"FunctionName": "order", "InvocationType": "Event"})
    assert answer["StatusCode"] == 202
    return str(answer["RequestId"])


async def all_is_quiet() -> None:
    """What can happen now has happened."""
    for _ in range(50):
        await asyncio.sleep(0)


def fails(attempts: list[str], times: int, how: Exception) -> Callable[[Script], str]:
    def script(run: Script) -> str:
        attempts.append(run.request_id)
        if len(attempts) <= times:
            raise how
        return "1"

    return script


@pytest.mark.parametrize(("times", "expected"), [(0, 1), (1, 2), (2, 3), (3, 3)])
@pytest.mark.parametrize("how", [ValueError("no credit"), Died()])
async def test_an_event_that_fails_is_tried_three_times(
    world: World, times: int, expected: int, how: Exception
) -> None:
    world.host()
    attempts: list[str] = []
    code = fails(attempts, times, how)
    request_id = await send(world, world.workspace(), skip_time=True, code=code)
    await all_is_quiet()
    assert attempts == [request_id] * expected


async def test_an_event_that_times_out_is_tried_again(world: World) -> None:
    timed_out, again = asyncio.Event(), asyncio.Event()

    async def script(run: Script) -> str:
        if timed_out.is_set():
            again.set()
            return "1"
        timed_out.set()
        return await for_ever(run)

    world.host()
    await send(world, world.workspace(), skip_time=True, code=script, timeout_seconds=0.01)
    await again.wait()


async def test_an_event_is_tried_again_after_a_minute_and_after_two_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, passed = asyncio.get_running_loop(), 0.0
    real_time = loop.time
    monkeypatch.setattr(loop, "time", lambda: real_time() + passed)
    world.host()
    attempts: list[str] = []
    await send(world, world.workspace(), skip_time=False, code=fails(attempts, 3, Died()))
    counts = []
    for seconds in (0, 58, 3, 116, 5, 3600):
        passed += seconds
        await all_is_quiet()
        counts.append(len(attempts))
    assert counts == [1, 1, 2, 2, 3, 3]


async def test_an_event_s_next_attempt_ends_with_its_runner(world: World) -> None:
    world.host()
    workspace, attempts = world.workspace(), list[str]()

    def script(run: Script) -> str:
        attempts.append(run.request_id)
        asyncio.get_running_loop().call_soon(world.executor.close_workspace, workspace)
        raise ValueError("no credit")

    await send(world, workspace, skip_time=True, code=script)
    await all_is_quiet()
    assert len(attempts) == 1


async def test_the_next_attempt_is_made_by_the_function_as_it_is_by_then(world: World) -> None:
    world.host()
    workspace, fixed = world.workspace(), asyncio.Event()

    def repaired(run: Script) -> str:
        fixed.set()
        return "1"

    def broken(run: Script) -> str:
        world.function(workspace, durable=False, code=repaired)
        raise ValueError("no credit")

    await send(world, workspace, skip_time=True, code=broken)
    await fixed.wait()


async def test_who_waits_for_the_answer_tries_again_himself(world: World) -> None:
    world.host()
    workspace, attempts = world.workspace(), list[str]()
    world.function(workspace, durable=False, code=fails(attempts, 3, ValueError("no credit")))
    functions = LambdaFunctions(world.executor, workspace, world.executor.new_id, True, None)
    answer = await functions.invoke({"FunctionName": "order"})
    await all_is_quiet()
    assert (answer["FunctionError"], len(attempts)) == ("Unhandled", 1)
