"""Requests that come together are answered one right after the other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from async_durable_execution_runner.coordinator.rounds import Answers, Rounds


class Stream:
    """What gRPC offers of a stream. A write is on its way until `sent` is set."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def write(self, message: str) -> None:
        self.log.append(f"write {message}")
        await self.sent

    async def abort(self, code: Any, why: str) -> None:
        self.log.append(f"{code.name}: {why}")
        await self.sent


async def test_all_that_come_together_are_answered_before_the_first_answer_is_written() -> None:
    log: list[str] = []

    def act(request: str) -> str:
        log.append(f"take {request}")
        return request.upper()

    rounds = Rounds(act)
    for name in "ab":
        log.append(f"read {name}")
        rounds.take(name, Answers(Stream(log)))
    await asyncio.sleep(0)
    assert log == ["read a", "read b", "take a", "take b", "write A", "write B"]


async def test_the_only_stream_that_asks_does_not_wait_for_others() -> None:
    log: list[str] = []
    rounds: Rounds[str, str] = Rounds(str.upper)
    stream = Stream(log)
    stream.sent.set_result(None)
    answers = Answers(stream)
    rounds.take("a", answers)
    await asyncio.sleep(0)
    await answers.done()
    rounds.take("b", answers)
    assert log == ["write A", "write B"]
    # Another has to wait, and so has the first one then.
    rounds.take("c", Answers(stream))
    rounds.take("d", answers)
    assert log == ["write A", "write B"]
    await asyncio.sleep(0)
    assert log[2:] == ["write C", "write D"]


async def test_an_answer_is_done_when_it_is_written() -> None:
    stream = Stream([])
    answers = Answers(stream)
    await answers.done()
    answers.begin("a")
    done = asyncio.create_task(answers.done())
    await asyncio.sleep(0)
    assert not done.done()
    stream.sent.set_result(None)
    await asyncio.wait_for(done, 5)
    await answers.done()


async def test_whoever_reads_on_learns_that_an_answer_could_not_be_written() -> None:
    stream = Stream([])
    answers = Answers(stream)
    answers.begin("a")
    stream.sent.set_exception(OSError("broken"))
    with pytest.raises(OSError, match="broken"):
        await answers.done()


async def test_one_that_fails_ends_its_stream_and_no_other() -> None:
    log: list[str] = []
    rounds: Rounds[int, float] = Rounds(lambda number: 1 / number)
    for number in (0, 2):
        rounds.take(number, Answers(Stream(log)))
    await asyncio.sleep(0)
    assert log == ["INTERNAL: ZeroDivisionError('division by zero')", "write 0.5"]


async def test_what_a_stream_asked_that_has_ended_is_not_done() -> None:
    done: list[int] = []
    rounds = Rounds(done.append)
    gone, stays = Answers(Stream([])), Answers(Stream([]))
    rounds.take(1, gone)
    rounds.take(2, stays)
    gone.end()
    await asyncio.sleep(0)
    assert done == [2]


async def test_an_answer_on_its_way_is_forgotten_with_its_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = Stream([])
    answers = Answers(stream)
    answers.begin("a")
    answers.end()
    stream.sent.set_exception(OSError("broken"))
    await asyncio.sleep(0)
    del stream, answers
    assert not caplog.records


async def test_a_stream_that_does_not_wait_for_its_answer_gets_one_after_the_other() -> None:
    log: list[str] = []
    rounds: Rounds[str, str] = Rounds(str.upper)
    stream = Stream(log)
    stream.sent.set_result(None)
    answers = Answers(stream)
    for request in "abc":
        await answers.done()
        rounds.take(request, answers)
    await answers.done()
    assert log == ["write A", "write B", "write C"]
