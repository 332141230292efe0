"""The replay-safe time of a handler is that of its execution's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import async_durable_execution as sdk
import pytest

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not hasattr(sdk, "now"), reason="this release has no replay-safe time"),
]

DAYS = timedelta(days=2)


@sdk.durable_execution
async def naps(event: Any) -> list[float]:
    before, started = await sdk.now(), await sdk.timestamp()
    await sdk.wait(DAYS)
    after, ended = await sdk.now(), await sdk.timestamp()
    return [before.timestamp(), (after - before).total_seconds(), ended - started]


@sdk.durable_execution
async def until_a_deadline(event: Any) -> int:
    deadline, tries = await sdk.now() + timedelta(hours=1), 0
    while await sdk.now() < deadline:
        tries += 1
        await sdk.wait(timedelta(minutes=20))
    return tries


@sdk.durable_execution
async def looks_twice(event: Any) -> float:
    before = await sdk.timestamp()
    return await sdk.timestamp() - before


@pytest.mark.parametrize("isolation", ["worker", "execution", "invocation", "inline"])
def test_time_that_is_skipped_has_passed_for_the_handler(
    make_durable_runner: Any, isolation: str
) -> None:
    runner = make_durable_runner(naps, isolation=isolation, workers=1)
    for _ in range(2):
        before, waited, passed = runner.run().get_deserialized_result()
        # Each execution begins at the time of day, whatever the one before has skipped.
        assert abs(before - datetime.now(UTC).timestamp()) < 60
        assert DAYS.total_seconds() <= waited < DAYS.total_seconds() + 60
        assert DAYS.total_seconds() <= passed < DAYS.total_seconds() + 60


def test_a_loop_until_a_deadline_ends(make_durable_runner: Any) -> None:
    runner = make_durable_runner(until_a_deadline, workers=1)
    assert runner.run(timeout=20).get_deserialized_result() == 3


def test_it_begins_at_the_start_time(make_durable_runner: Any) -> None:
    start = datetime(2020, 2, 29, tzinfo=UTC)
    runner = make_durable_runner(naps, start_time=start, workers=1)
    before, waited, _ = runner.run().get_deserialized_result()
    assert 0 <= before - start.timestamp() < 60
    assert waited >= DAYS.total_seconds()


def test_time_that_passes_within_an_invocation_has_passed_too(make_durable_runner: Any) -> None:
    runner = make_durable_runner(looks_twice, workers=1)
    passed = runner.run(faults="delay=20@after-commit:1").get_deserialized_result()
    assert 20 <= passed < 60
