from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from coordinator.wire import TOKEN, CoordinatorProcess, Wire

from async_durable_execution_runner.client.transport import (
    BlockingTransport,
    LoopTransport,
    Transport,
    channel_at,
)

from .served import Served

ADDRESSES = {"unix": "unix:{directory}/s", "tcp": "127.0.0.1:0"}


@pytest.fixture(scope="package", params=ADDRESSES)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("served")
    process = CoordinatorProcess(directory, ADDRESSES[request.param])
    served = Served(process)
    yield served
    served.close()
    code, errors = process.end()
    assert code == 0
    assert "coordinator/" not in errors, errors


@pytest.fixture
async def served(shared: Served) -> AsyncIterator[Served]:
    """A coordinator; whatever a test does, it serves others afterwards, and nothing is left."""
    # A thread and sockets of gRPC's own stay while there is a channel on a loop.
    async with Wire(shared.address) as wire:
        await wire.status()
        shared.serves_others()
        shared.until(shared.is_idle)
        before = shared.open()
        yield shared
        shared.serves_others()
        shared.until(shared.is_idle)
        await shared.nothing_is_left(wire, before)


@pytest.fixture(params=["blocking", "loop"])
async def transport(request: pytest.FixtureRequest, served: Served) -> AsyncIterator[Transport]:
    if request.param == "loop":
        own = LoopTransport(served.address, TOKEN)
        yield own
        await own.close()
    else:
        channel = channel_at(served.address)
        yield BlockingTransport(channel, TOKEN)
        channel.close()
