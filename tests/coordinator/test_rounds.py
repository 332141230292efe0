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

    async def stream(number: int, name: str) -> None:
        log.append(f"read {name}")
        assert await rounds.answer(name, number) == name.upper()
        log.append(f"write {name}")

    await asyncio.gather(stream(1, "a"), stream(2, "b"))
    assert log == ["read a", "read b", "act a", "act b", "write a", "write b"]


async def test_the_only_stream_that_asks_does_not_wait_for_others() -> None:
    rounds: Rounds[str, str] = Rounds(str.upper)
    await rounds.answer("a", 1)
    with pytest.raises(StopIteration, match="B"):
        rounds.answer("b", 1).send(None)
    # Another has to wait, and so has the first one then.
    first, second = (asyncio.create_task(rounds.answer("c", number)) for number in (2, 1))
    await asyncio.sleep(0)
    assert not first.done()
    assert not second.done()
    assert await asyncio.gather(first, second) == ["C", "C"]


async def test_one_that_fails_fails_alone() -> None:
    rounds: Rounds[int, float] = Rounds(lambda number: 1 / number)
    asked = [rounds.answer(divisor, stream) for stream, divisor in enumerate((0, 2), 1)]
    failed, halved = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(failed, ZeroDivisionError)
    assert halved == 0.5


async def test_one_that_nobody_waits_for_any_more_is_not_acted_upon() -> None:
    done: list[int] = []
    rounds = Rounds(done.append)
    gone, stays = (asyncio.create_task(rounds.answer(number, number)) for number in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert done == [2]
