"""How an invocation ends other than by its handler's return: deadline, death, lost lease."""

from __future__ import annotations

import asyncio

import pytest

from async_durable_execution_runner.coordinator import pool
from async_durable_execution_runner.coordinator.workers import ExitCause, WorkerExit, WorkerState
from async_durable_execution_runner.core.model import (
    ErrorObject,
    ExecutionStatus,
    Isolation,
    OperationStatus,
    OutputLine,
    OutputStream,
)
from async_durable_execution_runner.errors import InvalidCheckpointToken

from .world import (
    KILLED,
    SEEN,
    Died,
    Script,
    World,
    does,
    for_ever,
    invoke,
    step,
    succeeded,
    succeeded_with,
)

#: Seconds: as real as a deadline is.
SOON = 0.05


def lines(*texts: str) -> tuple[OutputLine, ...]:
    return tuple(OutputLine(OutputStream.STDERR, text) for text in texts)


def on_attempt(number: int, run: Script) -> bool:
    return len(run.executor.runs[run.arn].invocations) == number


# -- death ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exit", "type", "text"),
    [
        (
            WorkerExit(ExitCause.EXITED, exit_code=3),
            "Runtime.ExitError",
            "Runtime exited with error: exit status 3",
        ),
        (
            WorkerExit(ExitCause.EXITED, exit_code=0),
            "Runtime.ExitError",
            "Runtime exited without providing a reason",
        ),
        (
            WorkerExit(ExitCause.SIGNALED, signal=9),
            "Runtime.ExitError",
            "Runtime exited with error: signal: killed",
        ),
        (
            WorkerExit(ExitCause.SIGNALED, signal=11),
            "Runtime.ExitError",
            "Runtime exited with error: signal: segmentation fault",
        ),
        (
            WorkerExit(ExitCause.SIGNALED, signal=10),
            "Runtime.ExitError",
            "Runtime exited with error: signal: SIGUSR1",
        ),
        (
            WorkerExit(ExitCause.SIGNALED, signal=99),
            "Runtime.ExitError",
            "Runtime exited with error: signal: 99",
        ),
        (
            WorkerExit(ExitCause.MEMORY, peak_memory_bytes=300 * 2**20),
            "Runtime.OutOfMemory",
            "Runtime exited with error: signal: killed: out of memory (300 MiB used)",
        ),
        (
            WorkerExit(ExitCause.UNKNOWN, detail="its forkserver died"),
            "Runtime.ExitError",
            "Runtime exited with error: its forkserver died",
        ),
    ],
    ids=lambda value: str(value)[-30:] if isinstance(value, WorkerExit) else "",
)
async def test_a_worker_that_dies_fails_its_invocation_with_the_cause(
    world: World, exit: WorkerExit, type: str, text: str
) -> None:
    world.host()

    def script(run: Script) -> str:
        raise Died(exit)

    run = await world.run(script, retries=0)
    error = run.execution.root.error
    assert error == ErrorObject(f"RequestId: {run.invocations[0].request_id} Error: {text}", type)


async def test_the_last_lines_of_a_dead_worker_travel_with_the_error(world: World) -> None:
    world.host()
    written = lines(*(f"line {n}" for n in range(70)))

    def script(run: Script) -> str:
        raise Died(WorkerExit(ExitCause.EXITED, exit_code=1, output=written, output_truncated=True))

    run = await world.run(script, retries=0)
    error = run.execution.root.error
    assert error is not None
    assert error.stack_trace == tuple(f"line {n}" for n in range(20, 70))
    assert tuple(run.invocations[0].output) == written
    assert run.invocations[0].output_truncated


async def test_another_worker_takes_over_from_where_the_dead_one_was(world: World) -> None:
    host = world.host()

    def script(run: Script) -> str:
        if on_attempt(1, run):
            run.checkpoint(step("one"))
            raise Died
        assert run.status("one") is OperationStatus.SUCCEEDED
        return succeeded("recovered")

    run = await world.run(script)
    assert succeeded_with(run) == "recovered"
    assert [record.worker_id for record in run.invocations] == host.started[:2]


async def test_a_lost_host_is_the_cause_that_its_workers_invocations_get(world: World) -> None:
    first = world.host()
    workspace = world.workspace()

    async def script(run: Script) -> str:
        return await for_ever(run) if on_attempt(1, run) else succeeded()

    world.function(workspace, script)
    run = world.start(workspace)
    await world.invoked(run)
    first.leave()
    error = run.invocations[0].error
    assert error is not None
    assert str(error.message).endswith("Runtime exited with error: its worker host went away")
    world.host()
    await world.ended(run)


async def test_a_death_that_no_host_explains_is_one_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_EXIT_REPORT_SECONDS", SOON)
    host = world.host()
    host.obeys = False
    workspace = world.workspace(retries=0)
    world.function(workspace, for_ever)
    run = world.start(workspace)
    script = await world.invoked(run)
    script.worker.end(None)
    assert not run.execution.ended
    await world.ended(run)
    error = run.execution.root.error
    assert error is not None
    assert str(error.message).endswith("its worker host does not say why")
    assert world.executor.pool.workers == {}
    assert host.host.workers == set()


async def test_a_report_that_comes_after_all_is_ignored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_EXIT_REPORT_SECONDS", 0)
    host = world.host()
    host.obeys = False
    workspace = world.workspace(retries=0)
    world.function(workspace, for_ever)
    run = world.start(workspace)
    script = await world.invoked(run)
    script.worker.end(None)
    await world.ended(run)
    world.executor.pool.worker_exited(script.worker.worker.id, KILLED)
    assert len(run.invocations) == 1


async def test_an_exit_may_be_reported_before_the_session_is_seen_to_end(world: World) -> None:
    host = world.host()
    workspace = world.workspace(retries=0)
    world.function(workspace, for_ever)
    run = world.start(workspace)
    script = await world.invoked(run)
    world.executor.pool.worker_exited(script.worker.worker.id, KILLED)
    assert run.execution.status is ExecutionStatus.FAILED
    script.worker.end(None)
    assert host.killed == []


# -- deadlines -----------------------------------------------------------------------------


async def test_past_its_deadline_a_worker_is_killed_and_the_invocation_timed_out(
    world: World,
) -> None:
    host = world.host()
    workspace = world.workspace(retries=1)
    world.function(workspace, for_ever, timeout_seconds=SOON)
    run = await world.ended(world.start(workspace))

    assert host.killed == [record.worker_id for record in run.invocations]
    assert len(run.invocations) == 2
    for record in run.invocations:
        assert record.error == ErrorObject(
            f"RequestId: {record.request_id} Error: Task timed out after 0.05 seconds",
            "Sandbox.Timedout",
            stack_trace=(SEEN.verdict,),
        )
    assert run.execution.root.error == run.invocations[-1].error


async def test_what_a_killed_worker_had_written_is_in_the_time_out(world: World) -> None:
    host = world.host()
    written = lines("working", "still working")
    host.death = WorkerExit(ExitCause.SIGNALED, signal=9, output=written)
    workspace = world.workspace(retries=0)
    world.function(workspace, for_ever, timeout_seconds=SOON)
    run = await world.ended(world.start(workspace))
    error = run.execution.root.error
    assert error is not None
    assert error.type == "Sandbox.Timedout"
    assert error.stack_trace == ("working", "still working", SEEN.verdict)


async def test_a_result_between_deadline_and_death_is_too_late(world: World) -> None:
    """And the dying worker is given nothing more."""
    host = world.host()
    workspace = world.workspace(workers=1, retries=0)
    world.function(workspace, for_ever, timeout_seconds=SOON)
    world.function(workspace, lambda run: succeeded(run.worker.worker.id), "next")
    run = world.start(workspace)
    script = await world.invoked(run)
    following = world.start(workspace, "next")

    def answer_in_between() -> None:
        script.worker.returns(script, succeeded("too late"))
        script.worker.end(KILLED)

    host.host.kill_worker = lambda _: asyncio.get_running_loop().call_soon(answer_in_between)
    await world.ended(run)
    assert run.invocations[0].error is not None
    assert run.invocations[0].error.type == "Sandbox.Timedout"
    assert succeeded_with(await world.ended(following)) == host.started[1]
    assert len(following.invocations) == 1


async def test_a_host_that_does_not_obey_cannot_keep_an_execution_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to kill, it neither reports nor does the worker's session end."""
    monkeypatch.setattr(pool, "_EXIT_REPORT_SECONDS", SOON)
    host = world.host()
    host.obeys = False
    workspace = world.workspace(retries=0)
    world.function(workspace, for_ever, timeout_seconds=SOON)
    run = await world.ended(world.start(workspace))
    assert run.execution.root.error is not None
    assert run.execution.root.error.type == "Sandbox.Timedout"
    assert world.executor.pool.workers == {}


async def test_the_deadline_of_one_invocation_does_not_meet_the_next(world: World) -> None:
    host = world.host()
    workspace = world.workspace(workers=1)

    def quick(run: Script) -> str:
        return succeeded()

    async def slow(run: Script) -> str:
        await world.passes(3 * SOON)
        return succeeded()

    world.function(workspace, quick, "quick", timeout_seconds=SOON)
    world.function(workspace, slow, "slow")
    await world.ended(world.start(workspace, "quick"))
    run = await world.ended(world.start(workspace, "slow"))
    assert run.execution.status is ExecutionStatus.SUCCEEDED
    assert (len(host.started), host.killed) == (1, [])


async def test_a_plain_function_past_its_deadline_fails_the_chained_invoke(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(invoke("call", "plain"), result="went on"))
    world.function(workspace, for_ever, "plain", durable=False, timeout_seconds=SOON)
    run = await world.ended(world.start(workspace))
    error = run.execution.operations["call"].error
    assert error is not None
    assert error.type == "Sandbox.Timedout"
    assert succeeded_with(run) == "went on"


async def test_a_plain_function_whose_worker_dies_fails_the_chained_invoke(world: World) -> None:
    world.host()
    workspace = world.workspace()

    def dies(run: Script) -> str:
        raise Died(WorkerExit(ExitCause.EXITED, exit_code=7))

    world.function(workspace, does(invoke("call", "plain"), result="went on"))
    world.function(workspace, dies, "plain", durable=False)
    run = await world.ended(world.start(workspace))
    error = run.execution.operations["call"].error
    assert error is not None
    assert str(error.message).endswith("exit status 7")
    assert succeeded_with(run) == "went on"


# -- lost leases ---------------------------------------------------------------------------


async def test_what_a_zombie_sends_after_its_lease_is_refused(world: World) -> None:
    """An inline worker cannot be killed: it wakes up after another has taken over."""
    workspace = world.workspace(retries=1)
    wake, refusals = asyncio.Event(), []

    async def script(run: Script) -> str:
        if not on_attempt(1, run):
            return succeeded("by the second")
        await wake.wait()
        with pytest.raises(InvalidCheckpointToken) as refusal:
            run.checkpoint(step("zombie"))
        refusals.append(str(refusal.value))
        return succeeded("by the zombie")

    world.function(workspace, script, timeout_seconds=SOON, isolation=Isolation.INLINE)
    stuck = world.inline_worker(workspace, "first")
    world.inline_worker(workspace, "second")
    run = await world.ended(world.start(workspace))
    wake.set()
    await stuck.tasks[0]

    assert succeeded_with(run) == "by the second"
    assert "zombie" not in run.execution.operations
    assert [text.split(":")[0] for text in refusals] == ["Invalid checkpoint token"]
    assert [record.worker_id for record in run.invocations] == ["first", "second"]


async def test_an_inline_worker_that_comes_back_works_again(world: World) -> None:
    workspace = world.workspace(workers=1, retries=1)
    wake = asyncio.Event()

    async def script(run: Script) -> str:
        if on_attempt(1, run):
            await wake.wait()
        return succeeded(run.worker.worker.id)

    world.function(workspace, script, timeout_seconds=SOON, isolation=Isolation.INLINE)
    inline = world.inline_worker(workspace)
    run = world.start(workspace)
    await world.until(run, lambda: run.invocations[-1:] != [] and run.invocations[0].outcome != "")
    assert inline.worker.state is WorkerState.STUCK
    wake.set()
    assert succeeded_with(await world.ended(run)) == "inline"
    assert inline.worker.state is WorkerState.IDLE


async def test_one_that_waits_behind_a_stuck_inline_worker_gets_the_next(world: World) -> None:
    workspace = world.workspace(workers=1, retries=0)
    world.function(workspace, for_ever, timeout_seconds=SOON, isolation=Isolation.INLINE)
    world.function(workspace, lambda _: succeeded(), "next", isolation=Isolation.INLINE)
    for name in ("first", "second"):
        world.inline_worker(workspace, name)
    world.start(workspace)
    run = await world.ended(world.start(workspace, "next"))
    assert [record.worker_id for record in run.invocations] == ["second"]


async def test_a_result_for_another_workers_lease_is_ignored(world: World) -> None:
    world.host()
    workspace = world.workspace()
    go = asyncio.Event()

    async def script(run: Script) -> str:
        await go.wait()
        return succeeded(run.worker.worker.id)

    world.function(workspace, script)
    first, second = world.start(workspace), world.start(workspace)
    mine, other = await world.invoked(first), await world.invoked(second)
    world.executor.leases.returned(
        other.worker.worker, mine.request_id, succeeded("a lie"), [], False
    )
    assert not first.execution.ended
    assert workspace.share.leased == 2
    go.set()
    assert succeeded_with(await world.ended(first)) == mine.worker.worker.id
    assert succeeded_with(await world.ended(second)) == other.worker.worker.id


async def test_a_result_that_is_sent_twice_counts_once(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded(1))
    run = await world.ended(world.start(workspace))
    worker = next(iter(world.executor.pool.workers.values()))
    request_id = run.invocations[0].request_id
    world.executor.leases.returned(worker, request_id, succeeded(2), [], False)
    assert succeeded_with(run) == 1
    assert worker.state is WorkerState.IDLE
    assert workspace.share.leased == 0


async def test_a_result_of_a_worker_that_is_being_killed_is_not_taken(world: World) -> None:
    host = world.host()
    host.obeys = False
    workspace = world.workspace(retries=1)
    go = asyncio.Event()

    async def script(run: Script) -> str:
        if on_attempt(1, run):
            await go.wait()
            return succeeded("by one that was killed")
        return succeeded("by the second")

    world.function(workspace, script)
    run = world.start(workspace)
    first = (await world.invoked(run)).worker
    world.executor.pool.kill(first.worker, "the test asks for it")
    go.set()
    await first.finished()
    assert not run.execution.ended
    first.end(KILLED)
    assert succeeded_with(await world.ended(run)) == "by the second"
