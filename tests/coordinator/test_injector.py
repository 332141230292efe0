"""Fault plans without processes: what is held, refused, counted, and in which order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from async_durable_execution_runner.coordinator import injector as injectors
from async_durable_execution_runner.coordinator.injector import (
    Answer,
    Injector,
    Instead,
    Refuse,
    Tell,
)
from async_durable_execution_runner.coordinator.runs import Run
from async_durable_execution_runner.core.commands import Reply
from async_durable_execution_runner.core.faults import Exit, Fault, Plan
from async_durable_execution_runner.core.model import (
    OperationAction,
    OperationType,
    OperationUpdate,
)
from async_durable_execution_runner.errors import InvalidParameterValue, ServiceError

from .world import (
    PENDING,
    Died,
    FakeHost,
    Script,
    World,
    for_ever,
    retry,
    step,
    succeeded,
    succeeded_with,
    update,
)


def context_ends(id: str) -> OperationUpdate:
    return update(OperationType.CONTEXT, OperationAction.SUCCEED, id)


REFUSED = "its checkpoint was refused: Invalid checkpoint token"


class Side:
    """A worker's side of an invocation, through the injector as the services go."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.injector: Injector = script.executor.injectors[script.arn]
        self.worker = script.worker.worker

    async def begin(self) -> Instead | None:
        lease = self.script.executor.leases.of(self.script.request_id)
        assert lease is not None
        instead = self.injector.started(lease)
        if isinstance(instead, asyncio.Event):
            await instead.wait()
            return None
        return await _heard(instead)

    async def checkpoint(self, *updates: OperationUpdate) -> Reply | ServiceError | Instead:
        def act() -> Reply | ServiceError:
            try:
                return self.script.checkpoint(*updates)
            except ServiceError as error:
                return error

        def refusal(reply: Reply | ServiceError) -> str:
            return reply.message if isinstance(reply, ServiceError) else ""

        token = self.script.token
        return await _heard(
            await self.injector.checkpoint(self.worker.id, token, updates, act, refusal)
        )

    async def end(self, output: str | None = None) -> str:
        instead = await _heard(await self.injector.returned(self.worker))
        if instead is not None:
            raise Died
        return succeeded() if output is None else output


async def _heard(answer: Any) -> Any:
    """Nobody hears a silence, until he is killed."""
    if answer is Answer.SILENCE:
        await asyncio.Event().wait()
    return answer


def start(world: World, code: Any, *faults: str, **how: Any) -> Run:
    # So long a back-off that nothing may hold up the execution in the meantime.
    workspace = world.workspace(workers=how.pop("workers", 4), backoff_ms=3_600_000)
    world.function(workspace, code, **how.pop("function", {}))
    plan = Plan([Fault.parse(each) for each in faults])
    return world.start(workspace, plan=plan, **how)


def steps(*ids: str) -> Any:
    """A script: these steps, one checkpoint each, whichever are not done."""

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        for id in ids:
            if id not in run.operations:
                answer = await side.checkpoint(step(id))
                if not isinstance(answer, Reply):
                    raise Died
        return await side.end()

    return script


async def ended(world: World, run: Run) -> Run:
    """With a result, and no invocation failed but by what was planned."""
    await world.ended(run)
    succeeded_with(run)
    kinds = {each.error.type for each in run.invocations if each.error is not None}
    assert kinds <= {"Runtime.ExitError", "Sandbox.Timedout"}
    return run


def fired(run: Run) -> list[tuple[str, int]]:
    assert run.injection is not None
    return [(each.moment, each.invocation) for each in run.injection.fired]


def notes(run: Run) -> list[str]:
    assert run.injection is not None
    return [each.note[: len(REFUSED)] for each in run.injection.fired]


# -- copies ----------------------------------------------------------------------------------


async def test_a_copy_is_held_until_the_original_has_committed(world: World) -> None:
    world.host()
    go, finish, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        original = not order
        order.append("original" if original else "copy")
        if original:
            await go.wait()
        else:
            go.set()
        answer = await side.checkpoint(step("a"))
        order.append("original took" if isinstance(answer, Reply) else "copy refused")
        if original:
            await finish.wait()
        else:
            refused.set()
        return await side.end()

    run = start(world, script, "duplicate@invocation-start:1")
    # The original need not end for it.
    async with asyncio.timeout(5):
        await refused.wait()
    assert order == ["original", "copy", "original took", "copy refused"]
    finish.set()
    await ended(world, run)
    assert notes(run) == [REFUSED]


@pytest.mark.parametrize("workers", [1, 4], ids=["after it", "beside it"])
async def test_a_copy_is_let_go_when_its_original_dies(world: World, workers: int) -> None:
    world.host()
    refused = asyncio.Event()
    invocations = 0

    async def script(run: Script) -> str:
        nonlocal invocations
        invocations += 1
        copy = invocations == 2
        side = Side(run)
        await side.begin()
        if invocations == 1:
            if workers > 1:
                # Until the copy is there.
                await world.passes(0)
            raise Died
        answer = await side.checkpoint(step("a"))
        if copy:
            assert isinstance(answer, ServiceError)
            refused.set()
        return await side.end()

    run = start(world, script, "duplicate@invocation-start:1", workers=workers)
    async with asyncio.timeout(5):
        await refused.wait()
    await ended(world, run)
    assert notes(run) == [REFUSED]
    assert len(run.invocations) == 2


async def test_what_a_copy_does_is_no_moment_of_the_execution(world: World) -> None:
    world.host()
    read = asyncio.Event()
    invocations = 0
    answers: list[Any] = []

    async def script(run: Script) -> str:
        nonlocal invocations
        invocations += 1
        side = Side(run)
        await side.begin()
        if invocations == 1:
            await read.wait()
        else:
            assert await side.injector.state_read(side.worker.id, lambda: "page") == "page"
            read.set()
        if isinstance(await side.checkpoint(step("a")), ServiceError):
            return PENDING
        answers.append(await side.injector.state_read(side.worker.id, lambda: "page"))
        return await side.end()

    run = start(world, script, "duplicate@invocation-start:1", "exit=3@state-read:1")
    await ended(world, run)
    assert answers == [Tell(Exit(3))]
    assert fired(run) == [("invocation-start:1", 1), ("state-read:1", 1)]


# -- zombies ---------------------------------------------------------------------------------


async def test_a_zombie_is_heard_before_its_replacements_checkpoint_is_answered(
    world: World,
) -> None:
    """And its own is none of the moments at which something strikes."""
    host = world.host()
    answers: list[Any] = []

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        for id in "abc":
            if id not in run.operations:
                answers.append((len(execution.invocations), await side.checkpoint(step(id))))
                if not isinstance(answers[-1][1], Reply):
                    raise Died
        return await side.end()

    execution = start(
        world, script, "freeze@after-commit:1", "fail=ServiceException@before-commit:3"
    )
    await ended(world, execution)
    # Its own first, then what followed, until the replacement's second was refused.
    kinds = [type(answer).__name__ for _, answer in answers]
    assert kinds == ["Reply", "InvalidCheckpointToken", "Reply", "Refuse", "Reply"]
    assert isinstance(answers[3][1], Refuse)
    assert fired(execution) == [("after-commit:1", 1), ("before-commit:3", 2)]
    assert notes(execution) == [REFUSED, ""]
    frozen = execution.invocations[0].worker_id
    assert host.stopped == [(frozen, True), (frozen, False)]


# A zombie, which does nothing, leaves its place to its replacement.
@pytest.mark.parametrize("slots", [8, 1])
async def test_a_zombie_is_heard_before_its_replacements_result_is_taken(
    world: World, slots: int
) -> None:
    world.host(slots)
    seen: list[list[str]] = []

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        if "a" not in run.operations:
            await side.checkpoint(step("a"))
            await side.checkpoint(step("b"))
            raise Died
        output = await side.end()
        seen.append(notes(world.executor.run(run.arn)))
        return output

    run = await ended(world, start(world, script, "freeze@after-commit:1"))
    assert seen == [[REFUSED]]
    # Dying afterwards does not change what is known of it.
    assert notes(run) == [REFUSED]


async def test_a_zombie_that_says_nothing_is_waited_for_and_killed(world: World) -> None:
    host = world.host()

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        if "a" not in run.operations:
            await side.checkpoint(step("a"))
            return await for_ever(run)
        await side.checkpoint(step("b"))
        return await side.end()

    run = start(world, script, "freeze@after-commit:1")
    await world.until(run, lambda: "b" in run.execution.operations)
    frozen = run.invocations[0].worker_id
    await world.passes(injectors._ZOMBIE_SECONDS * 0.9)
    assert not run.execution.ended
    await world.passes(injectors._ZOMBIE_SECONDS * 0.2)
    await ended(world, run)
    assert run.injection is not None
    assert run.injection.fired[0].note == "it said nothing for 2 s after it went on"
    assert host.killed == [frozen]


async def test_a_zombie_is_let_go_and_killed_when_the_execution_ends_before(world: World) -> None:
    host = world.host()

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        if "a" not in run.operations:
            await side.checkpoint(step("a"))
        return await for_ever(run)

    run = start(world, script, "freeze@after-commit:1")
    await world.until(run, lambda: len(run.invocations) == 2)
    frozen = run.invocations[0].worker_id
    world.stop(run)
    assert host.stopped == [(frozen, True), (frozen, False)]
    assert run.injection is not None
    assert run.injection.busy
    await world.passes(injectors._ZOMBIE_SECONDS * 1.1)
    assert frozen in host.killed
    assert not run.injection.busy


async def test_what_a_doomed_worker_still_says_does_not_count(world: World) -> None:
    """Its host has not killed it yet."""
    host: FakeHost = world.host()
    host.obeys = False
    silent: list[Any] = []

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        if not silent:
            silent.append(await side.injector.effect(side.worker.id, "charge", "a"))
            reply = await side.injector.checkpoint(
                side.worker.id, run.token, (step("a"),), lambda: run.checkpoint(step("a")), str
            )
            silent.append(reply)
            assert "a" not in world.executor.run(run.arn).execution.operations
            raise Died
        return await side.end()

    await ended(world, start(world, script, "kill@effect:1"))
    assert silent == [Answer.SILENCE, Answer.SILENCE]


# -- time and memory -------------------------------------------------------------------------


async def test_a_late_answer_takes_of_the_time_that_the_invocation_has(world: World) -> None:
    world.host()
    left: list[float] = []

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        await side.checkpoint(step("a"))
        lease = world.executor.leases.of(run.request_id)
        assert lease is not None
        assert lease.deadline is not None
        left.append(lease.deadline.when() - asyncio.get_running_loop().time())
        return await side.end()

    await ended(world, start(world, script, "delay=20@after-commit:1"))
    assert left == [pytest.approx(10, abs=1)]


async def test_a_late_answer_takes_real_time_where_none_is_skipped(world: World) -> None:
    world.host()
    run = start(world, steps("a", "b"), "delay=2@after-commit:1", skip_time=False)
    await world.until(run, lambda: "a" in run.execution.operations)
    await world.passes(1.9)
    assert "b" not in run.execution.operations
    await world.passes(0.2)
    assert "b" in run.execution.operations
    await ended(world, run)


@pytest.mark.parametrize(
    ("function", "limits"),
    [({}, [512]), ({"memory_mb": 256, "enforce_memory": True}, [256])],
    ids=["none of its own", "its own"],
)
async def test_who_is_to_run_out_of_memory_has_a_limit(
    world: World, function: dict[str, Any], limits: list[int]
) -> None:
    host = world.host()
    run = start(world, steps("a"), "oom@after-commit:1", function=function)
    await world.until(run, lambda: len(run.invocations) == 2)
    first = [mb // 2**20 for worker, mb in host.limits if worker == run.invocations[0].worker_id]
    assert first == limits
    await ended(world, run)


# -- what is counted -------------------------------------------------------------------------


async def test_results_are_numbered_by_their_invocations(world: World) -> None:
    world.host()
    run = await ended(
        world, start(world, steps("a", "b"), "kill@after-commit:1", "exit=1@invocation-result:2")
    )
    assert fired(run) == [("after-commit:1", 1), ("invocation-result:2", 2)]


async def test_a_refused_checkpoint_is_not_a_commit(world: World) -> None:
    world.host()

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        refused = await side.checkpoint(retry("a", 0))
        assert isinstance(refused, ServiceError)
        assert isinstance(await side.checkpoint(step("a")), Reply)
        return await side.end()

    run = await ended(world, start(world, script, record_points=True))
    assert points(run) == [
        "invocation-start:1",
        "before-commit:1",
        "before-commit:1",
        "after-commit:1",
        "invocation-result:1",
    ]


def points(run: Run) -> list[str]:
    assert run.injection is not None
    return [each.moment for each in run.injection.points]


def keys(run: Run) -> list[str]:
    assert run.injection is not None
    return [each.key for each in run.injection.points]


async def test_attempts_are_counted_for_the_label(world: World) -> None:
    world.host()

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        if run.status("pay") is None:
            await side.checkpoint(retry("pay", 1))
            return await side.end(PENDING)
        await side.checkpoint(step("pay"))
        return await side.end()

    run = await ended(world, start(world, script, record_points=True))
    assert run.injection is not None
    labels = {each.label for each in run.injection.points if each.moment.startswith("before")}
    assert labels == {"STEP pay RETRY", "STEP pay SUCCEED attempt 2"}
    # The body of an attempt that is to be tried again has had its effects too.
    started, before_retry, *_ = keys(run)
    assert started != before_retry


async def test_equal_state_and_effects_have_equal_keys_in_every_execution(world: World) -> None:
    world.host()

    def records(*effects: str) -> Any:
        async def script(run: Script) -> str:
            side = Side(run)
            await side.begin()
            for name in effects:
                assert await side.injector.effect(side.worker.id, name, "a") is None
            await side.checkpoint(step("a"))
            await side.checkpoint(context_ends("box"))
            return await side.end()

        return script

    plain, other, charging = [
        keys(await ended(world, start(world, records(*effects), record_points=True)))
        for effects in ((), (), ("charge",))
    ]
    assert plain == other
    started, before, after, before_box, after_box, result = plain
    # The body of a step has had its effects before they are durable; a context has none.
    assert before != started
    assert after == before_box != before
    assert after_box == result
    # What is durable is no effect that could happen again.
    assert charging[2:4] != plain[1:3]
    assert charging[-4:] == plain[-4:]


async def test_a_plan_that_cannot_be_carried_out_leaves_nothing_behind(world: World) -> None:
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded("fine"))
    plan = Plan([Fault.parse("kill-coordinator@after-commit:1")])
    with pytest.raises(InvalidParameterValue, match="needs a store that outlives the coordinator"):
        world.start(workspace, execution_name="o-1", plan=plan)
    assert not world.executor.runs
    world.host()
    run = world.start(workspace, execution_name="o-1")
    assert succeeded_with(await world.ended(run)) == "fine"
