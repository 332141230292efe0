"""Whose effect it is: of invocations under way, ended, cut off, and of those chained to others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from async_durable_execution_runner.coordinator.runs import Run
from async_durable_execution_runner.core.model import Effect
from async_durable_execution_runner.errors import ResourceNotFound

from .world import Died, Script, World, does, invoke, retry, succeeded, wait


async def charge(script: Script, operation_id: str | None = "pay", **said: Any) -> None:
    said = {"attempt": 1} | said
    effect = Effect(script.request_id, "charge", "{}", operation_id=operation_id, **said)
    script.executor.effects.enter(effect)


def effects_of(world: World, run: Run) -> list[Effect]:
    return world.executor.effects.of(run)


async def test_an_effect_stands_with_its_execution_and_invocation(world: World) -> None:
    world.host()

    async def script(run: Script) -> str:
        if run.once(wait("pause", 3600)):
            await charge(run)
            return '{"Status": "PENDING"}'
        await charge(run)
        raise Died

    def after(run: Script) -> Any:
        return (
            succeeded() if len(run.worker.world.executor.runs[run.arn].effects) > 1 else script(run)
        )

    run = await world.run(after)
    first, second = effects_of(world, run)
    assert (first.execution_arn, first.function_name) == (run.arn, "order")
    assert first.request_id == run.invocations[0].request_id
    assert (first.invocation, second.invocation) == (1, 2)
    # The wait began before the first.
    assert second.time_ms - first.time_ms > 3_599_000
    assert (first.stale, second.stale) == (False, False)
    assert first.invocation_error is None
    assert second.invocation_error == run.invocations[1].error
    assert second.invocation_error is not None


async def test_an_effect_after_the_end_of_its_invocation_is_stale(world: World) -> None:
    world.host()
    scripts: list[Script] = []

    async def script(run: Script) -> str:
        scripts.append(run)
        if len(scripts) == 1:
            raise Died
        await charge(scripts[0])
        await charge(run)
        return succeeded()

    run = await world.run(script)
    await charge(scripts[1])
    found = effects_of(world, run)
    assert [(each.invocation, each.stale) for each in found] == [(1, True), (2, False), (2, True)]


async def test_an_effect_past_the_deadline_is_stale(world: World) -> None:
    """The process was told to die, but has not yet."""
    host = world.host()
    host.obeys = False

    async def script(run: Script) -> str:
        await host.told_to_kill.wait()
        await charge(run)
        return succeeded()

    workspace = world.workspace()
    world.function(workspace, script, timeout_seconds=0.01)
    run = world.start(workspace)
    await (await world.invoked(run)).worker.finished()
    assert [each.stale for each in effects_of(world, run)] == [True]


async def test_an_effect_of_an_execution_that_was_stopped_is_stale(world: World) -> None:
    world.host()
    stopped = asyncio.Event()

    async def script(run: Script) -> str:
        await stopped.wait()
        await charge(run)
        return succeeded()

    workspace = world.workspace()
    world.function(workspace, script)
    run = world.start(workspace)
    invocation = await world.invoked(run)
    world.stop(run)
    stopped.set()
    await invocation.worker.finished()
    assert [each.stale for each in effects_of(world, run)] == [True]


async def test_chained_effects_are_their_callers_too(world: World) -> None:
    world.host()
    workspace = world.workspace()

    async def leaf(run: Script) -> str:
        await charge(run)
        return succeeded()

    async def plain(run: Script) -> str:
        await charge(run, None, attempt=None)
        raise Died

    calls = does(invoke("durable", "middle"), invoke("plain", "plain", name="tell"))
    world.function(workspace, calls)
    world.function(workspace, does(invoke("deeper", "leaf")), "middle")
    world.function(workspace, leaf, "leaf")
    world.function(workspace, plain, "plain", durable=False)
    run = await world.ended(world.start(workspace))
    runs = {each.function.name: each for each in workspace.runs.values()}
    called, charged = sorted(
        effects_of(world, run), key=lambda effect: effect.function_name == "leaf"
    )
    assert charged.execution_arn == runs["leaf"].arn
    assert effects_of(world, runs["leaf"]) == effects_of(world, runs["middle"]) == [charged]
    assert called.execution_arn == run.arn
    assert (called.function_name, called.operation_id) == ("plain", "plain")
    assert (called.operation_name, called.attempt, called.invocation) == ("tell", None, 1)
    assert called.invocation_error is not None
    assert not called.stale


async def test_an_attempt_that_the_worker_does_not_know(world: World) -> None:
    """The steps that submit callbacks."""
    world.host()

    async def script(run: Script) -> str:
        await charge(run, attempt=None)
        if run.once(retry("pay", 1)):
            return '{"Status": "PENDING"}'
        await charge(run, attempt=None, outside_step=True)
        return succeeded()

    run = await world.run(script)
    assert [each.attempt for each in effects_of(world, run)] == [1, 2, None]


async def test_a_closed_runners_invocations_are_unknown(world: World) -> None:
    world.host()
    scripts: list[Script] = []

    def script(run: Script) -> str:
        scripts.append(run)
        return succeeded()

    run = await world.run(script)
    world.executor.close_workspace(run.workspace)
    with pytest.raises(ResourceNotFound, match="Invocation not found"):
        await charge(scripts[0])
    assert effects_of(world, run) == []
