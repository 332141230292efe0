from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest
from worker.conftest import address, coordinator, socket_directory
from worker.coordinator import TOKEN, Coordinator

from async_durable_execution_runner.security import secrecy

__all__ = ["address", "coordinator", "socket_directory"]


async def start_host(
    coordinator: Coordinator, *, token: str = TOKEN, lifeline: bool = True
) -> asyncio.subprocess.Process:
    """A host as the runner starts it or, without a lifeline, as a person does."""
    address = coordinator.connection.address
    arguments = ["-P", "-m", "async_durable_execution_runner.host"]
    arguments += ["--slots", "2", "--label", "zone=a", "--label", "disk=fast"]
    host = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        *(["--lifeline"] if lifeline else ["--connect", address]),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ if lifeline else {**os.environ, "DURABLE_RUNNER_TOKEN": token},
    )
    assert host.stdin is not None
    if lifeline:
        host.stdin.write(secrecy.line(token, address))
    return host


async def end_host(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(5):
        assert await process.wait() == 0


@pytest.fixture
async def host(coordinator: Coordinator) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real worker host, connected to the coordinator."""
    process = await start_host(coordinator)
    await coordinator.host()
    yield process
    if process.returncode is None:
        await end_host(process)
