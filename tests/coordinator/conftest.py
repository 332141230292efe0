from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from .world import World


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """An executor; when the test is over and its runners are closed, nothing may be left."""
    world = World()
    yield world
    executor = world.executor
    for workspace in list(executor.workspaces.values()):
        executor.close_workspace(workspace)
    assert executor.runs == executor.workspaces == executor.pool.workspaces == {}
    assert executor._subjects == {}
    assert executor.pool.queued == 0
    assert world.armed() == []
