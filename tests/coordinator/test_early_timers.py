"""The coordinator's event loop counts in milliseconds: a timer may be early by almost one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from async_durable_execution_runner.coordinator import timekeeper

from .test_injector import Side, ended, fired, start
from .world import Script, World, callback, does, events_of, succeeded_with, wait


@pytest.fixture(autouse=True)
async def early(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    in_time = loop.call_later

    def call_later(delay: float, *what: Any, **how: Any) -> asyncio.TimerHandle:
        return in_time(max(0.0, delay - 0.001), *what, **how)

    monkeypatch.setattr(loop, "call_later", call_later)


async def test_a_fault_at_a_time_strikes_where_nothing_else_happens(world: World) -> None:
    host = world.host()

    async def script(run: Script) -> str:
        side = Side(run)
        await side.begin()
        if len(host.killed) == 0:
            await asyncio.Event().wait()
        return await side.end()

    run = await ended(world, start(world, script, "kill@time:0.05"))
    assert fired(run) == [("time:1", 1)]


async def test_a_wait_in_real_time_ends(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(wait("nap", 1)))
    run = await world.suspended(world.start(workspace, skip_time=False))
    run.family.clock.jump(run.now + 950)
    await world.ended(run)
    assert succeeded_with(run) is None


async def test_a_callback_that_nobody_answers_times_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timekeeper, "ANSWER_GRACE_SECONDS", 0.02)
    world.host()
    run = await world.run(does(callback("approve", timeout_seconds=60)))
    assert "CallbackTimedOut" in events_of(run)
