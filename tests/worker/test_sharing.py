"""Functions of several runners that have the same handler, in one worker process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from async_durable_execution import durable_execution, step

pytestmark = pytest.mark.processes

# What follows is in the worker.
_loops: list[asyncio.AbstractEventLoop] = []
_serving = ""
_ran_in: list[str] = []
_released: list[asyncio.Event] = []
_left: list[asyncio.Task[None]] = []


async def _left_task(released: asyncio.Event) -> None:
    await released.wait()
    _ran_in.append(_serving)


@durable_execution
async def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Leave something behind on the loop; say on which loop this runs, and in which invocations
    what was left behind has gone on."""
    global _serving
    _serving = event["name"]
    loop = asyncio.get_running_loop()
    if loop not in _loops:
        _loops.append(loop)
    match event["leaves"]:
        case "task":
            _released.append(asyncio.Event())
            _left.append(loop.create_task(_left_task(_released[-1])))
        case "timer":
            # SDK 2.0 lets the loop run on for a moment when the handler has returned.
            loop.call_later(60, lambda: _ran_in.append(_serving))
        case "":
            for each in _released:
                each.set()
            # On the same loop, the other tasks would be first.
            later = asyncio.Event()
            loop.call_soon(later.set)
            await later.wait()
    return {"loop": await step(_place, name="place"), "ran in": _ran_in}


async def _place() -> int:
    return _loops.index(asyncio.get_running_loop())


def _run(make_durable_runner: Callable[..., Any], name: str, leaves: str = "") -> dict[str, Any]:
    runner = make_durable_runner(handler, workers=1)
    result: dict[str, Any] = runner.run({"name": name, "leaves": leaves}).get_deserialized_result()
    return result


def test_they_share_the_handlers_loop(make_durable_runner: Callable[..., Any]) -> None:
    """What the handler's module keeps for its loop, such as a client of HTTP, stays usable."""
    first = _run(make_durable_runner, "first", "nothing")
    assert first == _run(make_durable_runner, "second", "nothing")


@pytest.mark.parametrize("leaves", ["task", "timer"])
def test_nothing_that_one_leaves_behind_goes_on_in_another(
    make_durable_runner: Callable[..., Any], leaves: str
) -> None:
    first = _run(make_durable_runner, f"first-{leaves}", leaves)
    second = _run(make_durable_runner, "second")
    assert second["loop"] != first["loop"]
    assert "second" not in second["ran in"]
