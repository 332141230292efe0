"""Polling for answers, on either event loop."""

from __future__ import annotations

import asyncio
import os

import pytest

from async_durable_execution_runner.rpc.frames.busy_poll import BusyPoll


class Polls:
    """How often was polled, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.now = 1000.0
        #: Seconds for which others run when they may.
        self.taken = 1e-6
        monkeypatch.setattr(os, "sched_yield", self._poll)
        monkeypatch.setattr(
            "async_durable_execution_runner.rpc.frames.busy_poll.time.monotonic", lambda: self.now
        )

    def _poll(self) -> None:
        self.count += 1
        self.now += self.taken

    async def during(self, turns: int = 20, each: float = 60e-6) -> int:
        """Polls within that many turns of the loop, of so many seconds each."""
        before = self.count
        for _ in range(turns):
            await asyncio.sleep(0)
            self.now += each
        return self.count - before


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Polls:
    return Polls(monkeypatch)


async def test_it_polls_until_the_answer_comes(polls: Polls) -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    for _ in range(3):
        poll.begin()
        assert await polls.during(turns=4) == 4
        poll.end()
        assert await polls.during() == 0


async def test_messages_one_after_another_are_polled_for_once(polls: Polls) -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.begin()
    poll.begin()
    assert await polls.during(turns=4) == 4


async def test_it_sleeps_when_the_answer_takes_long(polls: Polls) -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.begin()
    assert await polls.during() == 7
    assert await polls.during() == 0


async def test_it_sleeps_when_the_clock_stands_still(polls: Polls) -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    polls.taken = 0.0
    poll.begin()
    assert await polls.during(turns=1000, each=0.0) == 300
    poll.begin()
    assert await polls.during() == 0


async def test_it_sleeps_when_others_want_the_processor(polls: Polls) -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    polls.taken = 20e-6
    assert [(poll.begin(), await polls.during())[1] for _ in range(4)] == [1, 0, 1, 0]


async def test_late_answers_are_polled_for_ever_more_rarely(polls: Polls) -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    polled = []
    for message in range(260):
        poll.begin()
        if await polls.during():
            polled.append(message)
        poll.end()
    assert polled == [0, 2, 6, 14, 30, 62, 126, 190, 254]


async def test_an_answer_in_time_has_every_message_polled_for_again(polls: Polls) -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    for message in range(3):
        poll.begin()
        assert bool(await polls.during()) == (message != 1)
    for _ in range(3):
        poll.begin()
        poll.end()
    for _ in range(3):
        poll.begin()
        assert await polls.during(turns=4) == 4
        poll.end()
