"""Time stands still for those whom a debugger concerns, and for nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from async_durable_execution_runner.core.model import ExecutionStatus
from async_durable_execution_runner.rpc.v1 import debug_pb2 as pb
from async_durable_execution_runner.rpc.v1 import worker_pb2
from async_durable_execution_runner.rpc.v1.debug_pb2_grpc import DebugServiceStub

from .wire import LIMIT, Leased, Refused, Stream, Wire
from .world import HOUR, Script, World, for_ever, succeeded, succeeded_with, wait

#: Seconds: as real as a deadline is.
SOON = 0.05


async def test_time_stands_still_in_a_debugger(world: World) -> None:
    world.host()
    debugged, other = world.workspace(), world.workspace(retries=0)
    world.function(other, for_ever, timeout_seconds=SOON)

    async def stops(script: Script) -> str:
        run = script.executor.runs[script.arn]
        script.once(wait("due", 1))
        assert run.lease is not None
        # Two threads of the handler have stopped.
        with script.executor.debuggers.standing_still(run.lease):
            with script.executor.debuggers.standing_still(run.lease):
                before = run.now
            # It does not for others.
            late = await world.ended(world.start(other))
            assert late.execution.status is ExecutionStatus.FAILED
            await world.passes(HOUR)
            assert run.now == before
        return succeeded((run.now - before) / 1000 < SOON)

    world.function(debugged, stops, timeout_seconds=1)
    run = await world.ended(world.start(debugged), 1)
    assert len(run.invocations) == 1
    assert succeeded_with(run) is True


async def test_a_debugger_does_not_hold_up_others(world: World) -> None:
    """Though the only host has a place for one worker."""
    world.host(slots=1)
    debugged, other = world.workspace(), world.workspace()
    world.function(other, lambda script: succeeded())

    async def stops(script: Script) -> str:
        lease = script.executor.runs[script.arn].lease
        assert lease is not None
        run = world.start(other)
        with script.executor.debuggers.standing_still(lease):
            await world.ended(run)
        return succeeded()

    world.function(debugged, stops)
    await world.ended(world.start(debugged))


async def test_the_deadline_goes_on_after_a_debugger(world: World) -> None:
    world.host()
    workspace = world.workspace(retries=0)

    async def stops(script: Script) -> str:
        lease = script.executor.runs[script.arn].lease
        assert lease is not None
        with script.executor.debuggers.standing_still(lease):
            await world.passes(HOUR)
        return await for_ever(script)

    world.function(workspace, stops, timeout_seconds=SOON)
    run = await world.ended(world.start(workspace))
    assert "timed out" in str(run.execution.root.error)


# -- over the wire -------------------------------------------------------------------------


class Debugged:
    """An invocation whose handler can be debugged, and the news that its user is told."""

    def __init__(self, stub: Any, wire: Wire, leased: Leased, news: Any) -> None:
        self._stub, self._wire, self.leased, self._news = stub, wire, leased, news

    async def stop(self) -> Stream:
        """A stop that has begun."""
        stream = Stream(self._stub.Stop(metadata=self._wire.metadata))
        await stream.send(pb.StopRequest(request_id=self.leased.invocation.request_id, place="x"))
        return stream

    async def news(self) -> pb.FollowResponse:
        return await asyncio.wait_for(self._news.read(), LIMIT)

    async def answer(self, stop_id: str, line: str) -> None:
        request = pb.AnswerRequest(user_id="somebody", stop_id=stop_id, line=line)
        await self._stub.Answer(request, metadata=self._wire.metadata)

    def leave(self) -> None:
        """The user's process dies."""
        self._news.cancel()


@pytest.fixture
async def debugged(wire: Wire) -> AsyncIterator[Debugged]:
    stub: Any = DebugServiceStub(wire.channel)
    follow = stub.Follow(pb.FollowRequest(user_id="somebody"), metadata=wire.metadata)
    assert await follow.read() == pb.FollowResponse()
    async with wire.runner(debugging=worker_pb2.Debugging(user_id="somebody")) as runner:
        await runner.register()
        session = await wire.session("stopped", runner.id)
        arn = await runner.start()
        invocation = (await session.next()).invocation
        assert invocation.debugging.user_id == "somebody"
        yield Debugged(stub, wire, Leased(runner, session, invocation, arn), follow)
        session.vanish()
    follow.cancel()


async def test_a_line_goes_from_the_user_to_the_debugger(debugged: Debugged) -> None:
    first = await debugged.stop()
    await first.next()
    began = await debugged.news()
    assert began.began == "x"
    second = await debugged.stop()
    await first.send(pb.StopRequest(output="(Pdb) ", reads=True))
    assert (await debugged.news()).output == "(Pdb) "
    assert (await debugged.news()).reads
    await debugged.answer("another", "n\n")
    await debugged.answer(began.stop_id, "c\n")
    assert (await first.next()).line == "c\n"
    await first.finish()
    assert (await debugged.news()).HasField("over")
    # Only then it is the other's turn.
    assert (await debugged.news()).began == "x"
    await second.next()
    second.vanish()
    assert (await debugged.news()).over is False
    await debugged.leased.ends_well()


async def test_who_quits_stops_the_execution(debugged: Debugged) -> None:
    stream = await debugged.stop()
    await stream.next()
    await stream.send(pb.StopRequest(quits=True))
    await stream.finish()
    page = await debugged.leased.runner.result(debugged.leased.arn)
    assert page.head.error.message == "The debugger was quit: x."
    await debugged.news()
    assert (await debugged.news()).over is True


async def test_nothing_is_read_where_the_user_is_gone(debugged: Debugged) -> None:
    stream = await debugged.stop()
    await stream.next()
    await stream.send(pb.StopRequest(reads=True))
    for _ in range(2):
        await debugged.news()
    debugged.leave()
    assert (await stream.next()).line == ""
    assert (await stream.ask(pb.StopRequest(reads=True))).line == ""
    stream.vanish()


async def test_nobody_debugs_what_is_over(debugged: Debugged) -> None:
    await debugged.leased.ends_well()
    with pytest.raises(Refused, match="over") as refused:
        await (await debugged.stop()).next()
    assert refused.value.code is grpc.StatusCode.NOT_FOUND
