"""Which of several worker hosts an execution's invocations go to."""

from __future__ import annotations

import pytest

from async_durable_execution_runner.coordinator.runs import Run

from .world import PENDING, FakeHost, Script, World, invoke, succeeded, wait

OLD, NEW = {"code": "old"}, {"code": "new"}


@pytest.fixture
def hosts(world: World) -> dict[str, FakeHost]:
    return {name: world.host(code=name) for name in ("old", "new")}


def naps(run: Script) -> str:
    for number in range(3):
        if run.once(wait(f"nap-{number}", 1)):
            return PENDING
    return succeeded()


def places(run: Run, hosts: dict[str, FakeHost]) -> list[str]:
    """Where each invocation has run."""
    return [
        next(name for name, host in hosts.items() if each.worker_id in host.started)
        for each in run.invocations
    ]


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        (1, ["old", "new", "new", "new"]),
        (3, ["old", "old", "old", "new"]),
        (9, ["old", "old", "old", "old"]),
    ],
)
async def test_an_execution_moves_after_as_many_invocations_as_it_says(
    world: World, hosts: dict[str, FakeHost], after: int, wanted: list[str]
) -> None:
    how = {"labels": OLD, "resume_on": NEW, "resume_after": after}
    assert places(await world.run(naps, **how), hosts) == wanted


@pytest.mark.parametrize(
    ("after", "callers", "callees"), [(1, ["old", "new", "new"], "new"), (3, ["old"] * 3, "old")]
)
async def test_what_is_invoked_in_a_chain_goes_where_its_caller_would_by_now(
    world: World, hosts: dict[str, FakeHost], after: int, callers: list[str], callees: str
) -> None:
    """Its own number of invocations says nothing: a deployment moves all at once."""

    def caller(run: Script) -> str:
        if run.once(wait("nap", 1)) or run.once(invoke("call", "callee")):
            return PENDING
        return succeeded()

    workspace = world.workspace()
    world.function(workspace, caller)
    world.function(workspace, naps, "callee")
    how = {"labels": OLD, "resume_on": NEW, "resume_after": after}
    run = await world.ended(world.start(workspace, **how))
    (callee,) = [each for each in workspace.runs.values() if each is not run]
    assert places(run, hosts) == callers
    assert places(callee, hosts) == [callees] * 4
