"""Functions that take the place of others while executions are under way, and what is forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from async_durable_execution_runner.coordinator.lambda_functions import _configuration
from async_durable_execution_runner.coordinator.pool import _MOST_CLOSED
from async_durable_execution_runner.coordinator.runs import Workspace
from async_durable_execution_runner.core.model import Isolation
from async_durable_execution_runner.errors import ResourceNotFound

from .world import (
    DAY,
    PENDING,
    Script,
    World,
    callback,
    does,
    for_ever,
    invoke,
    succeeded,
    succeeded_with,
)


def new(world: World, workspace: Workspace, name: str, result: object) -> None:
    """The function anew, with other code; all others go."""
    function = workspace.functions[name]
    code = does(callback("c"), result=result) if function.durable else lambda _: "null"
    now = replace(function, id=f"{function.id}/{result}", code=code)
    world.executor.replace_functions(workspace, [now])


async def test_a_process_does_not_pile_up_the_handlers_of_closed_runners(world: World) -> None:
    """Each handler that is loaded keeps an event loop and a stream open in its worker."""
    host = world.host()
    kept = world.workspace()
    world.function(kept, lambda _: succeeded())
    await world.ended(world.start(kept))
    for _ in range(_MOST_CLOSED):
        assert host.killed == []
        workspace = world.workspace()
        world.function(workspace, lambda _: succeeded())
        await world.ended(world.start(workspace))
        world.executor.close_workspace(workspace)
    assert len(host.killed) == len(host.started) == 1


async def test_processes_that_know_the_old_code_serve_no_more(world: World) -> None:
    host = world.host()
    workspace, other, go = world.workspace(), world.workspace(), asyncio.Event()

    async def slow(run: Script) -> str:
        await go.wait()
        return succeeded()

    world.function(workspace, lambda _: succeeded(1))
    world.function(other, slow)
    elsewhere = world.start(other)
    await world.invoked(elsewhere)
    old = await world.ended(world.start(workspace))
    go.set()
    await world.ended(elsewhere)
    new(world, workspace, "order", 2)
    assert host.killed == [old.invocations[0].worker_id]
    run = world.start(workspace)
    await world.suspended(run)
    world.answer(run, "c")
    assert succeeded_with(await world.ended(run)) == 2
    assert run.invocations[0].worker_id == elsewhere.invocations[0].worker_id


async def test_what_is_under_way_ends_as_it_began_and_its_process_with_it(world: World) -> None:
    host = world.host()
    go = asyncio.Event()

    async def slow(run: Script) -> str:
        await go.wait()
        return succeeded("old")

    workspace = world.workspace()
    world.function(workspace, slow)
    run = world.start(workspace)
    await world.invoked(run)
    new(world, workspace, "order", "new")
    assert host.killed == []
    go.set()
    assert succeeded_with(await world.ended(run)) == "old"
    assert host.killed == [run.invocations[0].worker_id]


@pytest.mark.parametrize("isolation", [Isolation.WORKER, Isolation.EXECUTION])
async def test_an_execution_goes_on_with_the_new_code(world: World, isolation: Isolation) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(callback("c"), result="old"), isolation=isolation)
    run = await world.suspended(world.start(workspace))
    new(world, workspace, "order", "new")
    world.answer(run, "c")
    assert succeeded_with(await world.ended(run)) == "new"
    assert len({record.worker_id for record in run.invocations}) == 2


async def test_a_function_that_is_gone_is_not_found_but_its_executions_go_on(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(callback("c"), result="old"))
    world.function(workspace, lambda _: PENDING, "other")
    run = await world.suspended(world.start(workspace))
    new(world, workspace, "other", "new")
    with pytest.raises(ResourceNotFound):
        world.start(workspace)
    world.answer(run, "c")
    assert succeeded_with(await world.ended(run)) == "old"


async def test_what_has_ended_long_ago_is_forgotten(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(invoke("call", "plain")), retention_days=7)
    world.function(workspace, lambda _: "1", "plain", durable=False)
    run = await world.ended(world.start(workspace, execution_name="one"))
    kept = await world.ended(world.start(workspace, execution_name="two"))
    assert run.expiry is not None
    assert 0 <= asyncio.get_running_loop().time() + 7 * DAY - run.expiry.when() < 60
    run.expiry._run()
    run.expiry.cancel()
    with pytest.raises(ResourceNotFound, match="Execution not found"):
        world.executor.run(run.arn)
    assert list(workspace.runs.values()) == list(world.executor.runs.values()) == [kept]
    assert {origin.run for origin in world.executor.effects._origins.values()} == {kept}
    # Its name is free, also for another input.
    again = world.start(workspace, execution_name="one", payload="2")
    assert (await world.ended(again)).arn != run.arn


async def test_a_function_s_retention_and_log_format_are_told(world: World) -> None:
    workspace = world.workspace()
    function = world.function(workspace, for_ever, retention_days=7, log_format="JSON")
    told = _configuration(function)
    assert told["DurableConfig"]["RetentionPeriodInDays"] == 7
    assert told["LoggingConfig"] == {"LogFormat": "JSON"}
