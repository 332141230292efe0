from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio
import uvloop

from .frame_service import Service


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]] | None:
    """The coordinator has uvloop, workers have asyncio's, and whoever calls has what it likes."""
    if not item.path.name.startswith(("test_frame", "test_busy_poll")):
        return None
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture
async def service(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        service = Service(folder)
        await service.server.start(service.path)
        async with asyncio.timeout(10):
            yield service
            await service.channel.close()
            calls = set(service.server._calls)
            service.server.stop()
            if calls:
                await asyncio.wait(calls)
    assert not [record for record in caplog.records if record.name == "asyncio"]
