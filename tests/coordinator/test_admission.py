"""Two sessions in one worker's name, the second while the first is being welcomed."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from async_durable_execution_runner.coordinator.worker_service import WorkerService
from async_durable_execution_runner.rpc import PROTOCOL_VERSION
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.security.credentials import Credentials, fixed

from .world import World, succeeded


class Aborted(Exception):
    pass


class SlowCall:
    """A call as its servicer sees it: says hello, then nothing; what it is sent gets stuck."""

    def __init__(self, worker_id: str) -> None:
        hello = pb.WorkerHello(worker_id=worker_id, protocol_version=PROTOCOL_VERSION, pid=7)
        self._said = [pb.SessionRequest(hello=hello)]
        self.refused: grpc.StatusCode | None = None

    async def read(self) -> Any:
        return self._said.pop(0) if self._said else await asyncio.Event().wait()

    async def write(self, message: Any) -> None:
        await asyncio.Event().wait()

    def invocation_metadata(self) -> tuple[()]:
        return ()

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.refused = code
        raise Aborted


async def test_a_worker_that_is_being_welcomed_is_nobody_elses_name(world: World) -> None:
    host = world.host()
    host.starts = False
    workspace = world.workspace()
    world.function(workspace, lambda _: succeeded())
    world.start(workspace)
    (worker_id,) = host.started
    credentials = Credentials(fixed("token"), fixed("token"))
    service = WorkerService(world.executor, "coordinator", credentials)
    first, second = SlowCall(worker_id), SlowCall(worker_id)
    session = asyncio.create_task(service.Session(None, first))
    await asyncio.sleep(0)
    with pytest.raises(Aborted):
        await service.Session(None, second)
    assert (first.refused, second.refused) == (None, grpc.StatusCode.PERMISSION_DENIED)

    # One that vanishes while it is welcomed is killed, and another is started in its place.
    session.cancel()
    await asyncio.wait([session])
    assert host.killed == [worker_id]
