from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from .wire import LIMIT, CoordinatorProcess, Leased, Wire, works
from .world import World


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """An executor; when the test is over and its runners are closed, nothing may be left, and
    nothing may have failed where nobody looked."""
    failures: list[dict[str, Any]] = []

    def note(_: asyncio.AbstractEventLoop, failure: dict[str, Any]) -> None:
        # Any loop of a process may be the one that gRPC tells of the last events of a loop that an
        # earlier test has closed.
        of_another = "PollerCompletionQueue" in failure["message"] and (
            str(failure.get("exception")) == "Event loop is closed"
        )
        if not of_another:
            failures.append(failure)

    asyncio.get_running_loop().set_exception_handler(note)
    world = World()
    yield world
    await asyncio.sleep(0)
    assert failures == []
    executor = world.executor
    for workspace in list(executor.workspaces.values()):
        executor.close_workspace(workspace)
    assert executor.runs == executor.workspaces == executor.pool.shares == {}
    assert executor.injectors == {}
    assert executor.leases._subjects == executor.effects._origins == {}
    assert executor.pool.queued == 0
    assert world.armed() == []


@pytest.fixture(
    scope="package",
    params=["unix:{directory}/coordinator.sock", "127.0.0.1:0"],
    ids=["unix", "tcp"],
)
def coordinator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CoordinatorProcess]:
    process = CoordinatorProcess(tmp_path_factory.mktemp("coordinator"), request.param)
    yield process
    code, errors = process.end()
    assert code == 0
    # gRPC itself reports clients that went away; what is ours must not fail over them.
    assert "coordinator/executor.py" not in errors, errors
    assert "coordinator/pool.py" not in errors, errors


@pytest_asyncio.fixture
async def wire(coordinator: CoordinatorProcess) -> AsyncIterator[Wire]:
    """A client; after whatever it does, the coordinator still works, and nothing is left."""
    async with Wire(coordinator.address) as wire:
        yield wire
    async with Wire(coordinator.address) as other:
        await works(other)
        # The ends of streams come in their own time; each answer lets the coordinator get on.
        async with asyncio.timeout(LIMIT):
            while (status := await other.status()).hosts or status.workers or status.executions:
                pass


@pytest_asyncio.fixture
async def leased(wire: Wire) -> AsyncIterator[Leased]:
    async with wire.runner() as runner:
        await runner.register()
        session = await wire.session("honest", runner.id)
        arn = await runner.start()
        yield Leased(runner, session, (await session.next()).invocation, arn)
        session.vanish()
