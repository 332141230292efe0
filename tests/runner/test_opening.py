"""Runners without a `with` block, and in more than one."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from typing import Any

import anyio
import pytest
from async_durable_execution import durable_execution

from async_durable_execution_runner import (
    AsyncDurableFunctionCloudTestRunner,
    AsyncDurableFunctionTestRunner,
    DurableFunctionCloudTestRunner,
    DurableFunctionTestRunner,
    FaultNeverFired,
    NotStarted,
    RunnerError,
)


@durable_execution
async def echo(event: Any) -> Any:
    return event


class NoLambda:
    """A client of a Lambda that nobody asks."""


def make(kind: type[Any], **more: Any) -> Any:
    if kind in (DurableFunctionTestRunner, AsyncDurableFunctionTestRunner):
        return kind(echo, isolation="inline", **more)
    return kind("echo", client=NoLambda(), **more)


async def done(call: Any) -> Any:
    return await call if inspect.isawaitable(call) else call


async def enter(runner: Any) -> Any:
    return await done(getattr(runner, "__aenter__", getattr(runner, "__enter__", None))())


async def leave(runner: Any) -> None:
    await done(getattr(runner, "__aexit__", getattr(runner, "__exit__", None))(None, None, None))


def is_open(runner: Any) -> bool:
    engine = runner._engine
    try:
        _ = engine.attachment.control if hasattr(engine, "attachment") else engine._lambda
    except NotStarted:
        return False
    return True


each_kind = pytest.mark.parametrize(
    "kind",
    [
        DurableFunctionTestRunner,
        AsyncDurableFunctionTestRunner,
        DurableFunctionCloudTestRunner,
        AsyncDurableFunctionCloudTestRunner,
    ],
)


@each_kind
async def test_it_is_open_from_open_to_close(kind: type[Any]) -> None:
    runner = make(kind)
    assert await done(runner.open()) is runner
    assert is_open(runner)
    await done(runner.open())
    await done(runner.close())
    assert not is_open(runner)
    await done(runner.close())
    await done(runner.open())
    assert is_open(runner)
    await done(runner.close())


@each_kind
async def test_the_outermost_block_closes_it(kind: type[Any]) -> None:
    runner = make(kind)
    assert await enter(runner) is runner
    await enter(runner)
    await leave(runner)
    assert is_open(runner)
    await leave(runner)
    assert not is_open(runner)


@each_kind
async def test_a_block_leaves_open_what_open_has_opened(kind: type[Any]) -> None:
    runner = make(kind)
    await done(runner.open())
    await enter(runner)
    await leave(runner)
    assert is_open(runner)
    await done(runner.close())
    assert not is_open(runner)


@each_kind
async def test_what_is_closed_in_its_block_is_not_closed_twice(kind: type[Any]) -> None:
    runner = make(kind)
    await enter(runner)
    await done(runner.close())
    assert not is_open(runner)
    await done(runner.open())
    await leave(runner)
    assert is_open(runner)
    await done(runner.close())


@each_kind
async def test_a_runner_that_is_forgotten_warns(kind: type[Any]) -> None:
    runner = make(kind)
    text = f"{runner!r} was never closed".replace("not open", "open")
    await done(runner.open())
    with warnings.catch_warnings(record=True) as caught:
        # What other tests have left may warn of something else.
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ResourceWarning)
        del runner
        # The thread on which an asynchronous one was opened may hold it for a moment longer.
        while not caught:
            gc.collect()
            await asyncio.sleep(0.001)
    assert [str(each.message).partition(":")[0] for each in caught] == [text]
    assert caught[0].category is ResourceWarning


def test_its_handles_keep_it() -> None:
    execution = make(DurableFunctionTestRunner).open().start("kept")
    gc.collect()
    assert execution.result().get_deserialized_result() == "kept"
    with warnings.catch_warnings(record=True) as caught:
        # What other tests have left may warn of something else.
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ResourceWarning)
        del execution
        gc.collect()
    assert [each.category for each in caught] == [ResourceWarning]


@each_kind
async def test_a_runner_that_is_closed_does_not_warn(kind: type[Any]) -> None:
    runner = make(kind)
    await done(runner.open())
    await done(runner.close())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del runner
        gc.collect()


def test_close_looks_for_faults_that_never_fired_as_a_block_does() -> None:
    runner = make(DurableFunctionTestRunner, faults="fail=ServiceException@before-commit:9").open()
    runner.start("x").stop()
    with pytest.raises(FaultNeverFired):
        runner.close()
    assert not is_open(runner)


each_awaited_kind = pytest.mark.parametrize(
    "kind", [AsyncDurableFunctionTestRunner, AsyncDurableFunctionCloudTestRunner]
)


@each_awaited_kind
async def test_what_is_cancelled_at_each_await_is_closed_all_the_same(kind: type[Any]) -> None:
    runner = make(kind)
    with anyio.CancelScope() as scope:
        async with runner:
            scope.cancel()
            await asyncio.sleep(0)
    assert not is_open(runner)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await runner.open()
    assert scope.cancelled_caught
    assert not is_open(runner)
    async with runner:
        assert is_open(runner)


@each_awaited_kind
def test_it_says_that_it_needs_asyncio(kind: type[Any]) -> None:
    # The loop of another library drives coroutines as this does.
    with pytest.raises(RunnerError, match="needs asyncio, which does not run here"):
        make(kind).open().send(None)
