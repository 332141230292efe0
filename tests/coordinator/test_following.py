"""What handlers write, for whoever follows it."""

from __future__ import annotations

import asyncio

import pytest

from async_durable_execution_runner.coordinator import following
from async_durable_execution_runner.coordinator.clock import real_ms
from async_durable_execution_runner.coordinator.following import Follower, Written
from async_durable_execution_runner.coordinator.lambda_functions import invoke_plain
from async_durable_execution_runner.coordinator.runs import PlainInvocation
from async_durable_execution_runner.coordinator.workers import ExitCause, WorkerExit
from async_durable_execution_runner.core.model import OutputLine, OutputStream

from .world import Died, Script, World, invoke, succeeded


def written(text: str, lines: int = 1) -> Written:
    return Written("order", "", text, 0, [OutputLine(OutputStream.STDOUT, text)] * lines)


async def told(follower: Follower) -> list[Written]:
    """All that it has still to tell; it is closed."""
    follower.close()
    return [each async for each in follower]


async def test_the_lines_of_every_invocation_are_told_with_whose_they_are(world: World) -> None:
    def plain(run: Script) -> str:
        run.print("called")
        return "1"

    def order(run: Script) -> str:
        run.print(f"order {len(run.executor.runs[run.arn].invocations)}")
        if len(run.executor.runs[run.arn].invocations) == 1:
            last = OutputLine(OutputStream.STDERR, "last words")
            raise Died(WorkerExit(ExitCause.EXITED, exit_code=3, output=(last,)))
        run.once(invoke("call", "plain"))
        return succeeded() if run.done("call") else '{"Status": "PENDING"}'

    world.host()
    workspace, follower = world.workspace(), Follower()
    workspace.followers.append(follower)
    world.function(workspace, order)
    function = world.function(workspace, plain, "plain", durable=False)
    run = await world.ended(world.start(workspace))
    invocation = PlainInvocation(workspace, function, "1", None, None)
    request_id = invoke_plain(world.executor, invocation)
    await invocation.outcome

    found = await told(follower)
    assert [(each.function_name, each.lines[0].text) for each in found] == [
        ("order", "last words"),
        ("order", "order 2"),
        ("plain", "called"),
        ("order", "order 3"),
        ("plain", "called"),
    ]
    # A plain function has no execution, whoever called it.
    assert [each.execution_arn for each in found] == [run.arn, run.arn, "", run.arn, ""]
    of_order = [each.request_id for each in found if each.execution_arn]
    assert of_order == [record.request_id for record in run.invocations]
    assert found[-1].request_id == request_id
    assert all(0 <= real_ms() - each.time_ms < 60_000 for each in found)


async def test_what_is_not_fetched_is_bounded_and_the_rest_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "_MOST_BYTES", 1000)
    follower = Follower()
    for text in ("a" * 2000, "b", "c"):
        follower.tell(written(text, lines=2))
    stream = aiter(follower)
    # One that is too large by itself is told all the same.
    assert (await anext(stream)).request_id == "a" * 2000
    follower.tell(written("d"))
    follower.tell(written("e"))
    follower.close()
    rest = [each async for each in stream]
    assert [(each.request_id, each.dropped) for each in rest] == [("d", 4), ("e", 0)]


async def test_who_waits_is_told_of_what_comes_and_of_the_end(world: World) -> None:
    workspace, follower = world.workspace(), Follower()
    workspace.followers.append(follower)
    stream = aiter(follower)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    follower.tell(written("a"))
    assert (await first).request_id == "a"
    end = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)
    world.executor.close_workspace(workspace)
    assert await end is None
