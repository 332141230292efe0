"""Which worker hosts count as lost."""

from __future__ import annotations

import time

import pytest

from async_durable_execution_runner.coordinator.lost import LostHosts
from async_durable_execution_runner.coordinator.workers import ConnectedHost

from .world import World


def nothing(*_: object) -> None:
    pass


def host(name: str, pid: int) -> ConnectedHost:
    return ConnectedHost(f"{name}-{pid}", pid, 2, {"name": name}, *[nothing] * 6)


def names(lost: LostHosts) -> list[str]:
    return [each.host.id for each in lost.recent()]


def test_a_lost_host_is_remembered_until_it_or_one_of_its_name_joins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = LostHosts()
    for name, pid in ("a", 1), ("a", 2), ("b", 3), ("a", 4):
        lost.add(host(name, pid))
    lost.replaced_by(host("c", 1))
    assert names(lost) == ["a-1", "a-2", "b-3", "a-4"]
    # The same process, which has joined again, rather than the one that was lost first.
    lost.replaced_by(host("a", 2))
    assert names(lost) == ["a-1", "b-3", "a-4"]
    lost.replaced_by(host("a", 5))
    assert names(lost) == ["b-3", "a-4"]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3601)
    assert names(lost) == []


async def test_a_host_that_drains_is_not_lost(world: World) -> None:
    pool = world.executor.pool
    drained, killed = world.host(), world.host()
    pool.drain(drained.host)
    drained.leave()
    killed.leave()
    assert names(pool.lost) == [killed.host.id]
    joined = world.host()
    assert names(pool.lost) == []
    joined.leave()
