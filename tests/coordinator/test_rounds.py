"""Requests that come together are answered one right after the other."""

from __future__ import annotations

import asyncio

import pytest

from async_durable_execution_runner.coordinator.rounds import Rounds


async def test_what_comes_together_is_read_before_the_first_is_answered() -> None:
    log: list[str] = []

    def act(request: str) -> str:
        log.append(f"act {request}")
        return request.upper()

    rounds = Rounds(act)

    async def stream(name: str) -> None:
        log.append(f"read {name}")
        assert await rounds.ask(name) == name.upper()
        log.append(f"write {name}")

    await asyncio.gather(stream("a"), stream("b"))
    assert log == ["read a", "read b", "act a", "act b", "write a", "write b"]


async def test_one_that_fails_fails_alone() -> None:
    rounds: Rounds[int, float] = Rounds(lambda number: 1 / number)
    asked = [rounds.ask(number) for number in (0, 2)]
    with pytest.raises(ZeroDivisionError):
        await asked[0]
    assert await asked[1] == 0.5


async def test_one_that_nobody_waits_for_any_more_is_not_acted_upon() -> None:
    done: list[int] = []
    rounds = Rounds(done.append)
    rounds.ask(1).cancel()
    await rounds.ask(2)
    assert done == [2]
