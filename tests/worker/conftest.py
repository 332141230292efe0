from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from .coordinator import ADDRESSES, Coordinator

# A project of its own, that a test runs pytest on.
collect_ignore = ["import_modes"]


@pytest.fixture
def socket_directory() -> Iterator[Path]:
    # pytest's own directories have names too long for a socket.
    directory = tempfile.mkdtemp()
    yield Path(directory)
    shutil.rmtree(directory)


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest, socket_directory: Path) -> str:
    return ADDRESSES[request.param].format(directory=socket_directory)


@pytest.fixture
async def coordinator(address: str) -> AsyncIterator[Coordinator]:
    async with Coordinator(address) as coordinator:
        yield coordinator


@pytest.fixture
def coordinator_thread(address: str) -> Iterator[Coordinator]:
    """A coordinator for tests that run event loops of their own."""
    coordinator = Coordinator(address)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(coordinator.__aenter__(), loop).result()
    yield coordinator
    asyncio.run_coroutine_threadsafe(coordinator.__aexit__(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
