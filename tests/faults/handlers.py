"""Workflows for the fault tests, and three with a bug each, beside their fixed twins."""

from __future__ import annotations

import os
import random
import signal
import uuid
from datetime import timedelta

from async_durable_execution import (
    JitterStrategy,
    RetryStrategy,
    StepSemantics,
    durable_execution,
    get_step_context,
    map,
    step,
    wait,
    wait_for_callback,
)

from async_durable_execution_runner import ledger


async def charge() -> str:
    ledger.record("charge", key="o-1", amount=5)
    return "charged"


async def pack() -> str:
    return "packed"


async def ship() -> str:
    return "shipped"


@durable_execution
async def order(event: dict) -> list[str]:
    """Four commits in two invocations: 1 charge, 2 cool off; 3 pack, 4 ship."""
    charged = await step(charge, name="charge")
    await wait(timedelta(seconds=10), name="cool off")
    packed = await step(pack, name="pack")
    shipped = await step(ship, name="ship")
    return [charged, packed, shipped]


@durable_execution
async def refuses(event: dict) -> None:
    await step(charge, name="charge")
    raise ValueError("no stock")


ORDERED = '["charged", "packed", "shipped"]'

AGAIN = RetryStrategy(
    max_attempts=3, initial_delay=timedelta(seconds=2), jitter_strategy=JitterStrategy.NONE
)


@durable_execution
async def careful(event: dict) -> str:
    """At most once: an attempt that was interrupted is over, and the next one knows."""

    async def body() -> str:
        attempt = get_step_context().attempt
        ledger.record("charge", key=f"attempt {attempt}")
        return f"attempt {attempt}"

    return await step(
        body,
        name="charge",
        step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
        retry_strategy=AGAIN,
    )


@durable_execution
async def allocates(event: dict) -> int:
    """The process that ran the step; two where the first of them died."""

    async def body() -> int:
        return os.getpid()

    return await step(body, name="pid")


# -- a hundred crash points ----------------------------------------------------------------


async def one() -> int:
    return 1


async def item(number: int) -> int:
    return await step(one, name=f"item {number}")


async def submit() -> None:
    pass


@durable_execution
async def long_order(event: dict) -> str:
    for number in range(20):
        await step(one, name=f"step {number}")
    await map(item, [1, 2, 3, 4, 5], name="items")
    return await wait_for_callback(submit, name="approval")


@durable_execution
async def approved_order(event: dict) -> str:
    for number in range(2):
        await step(one, name=f"step {number}")
    return await wait_for_callback(submit, name="approval")


@durable_execution
async def does_nothing(event: dict) -> None:
    pass


# -- planted bugs, and their fixed twins ---------------------------------------------------


@durable_execution
async def charges_twice(event: dict) -> str:
    """The key is made anew in each try: the bank cannot know that it has the charge."""

    async def body() -> str:
        ledger.record("charge", key=uuid.uuid4().hex)
        return "charged"

    return await step(body, name="charge")


@durable_execution
async def charges_once(event: dict) -> str:
    async def body() -> str:
        ledger.record("charge", key=event["order"])
        return "charged"

    return await step(body, name="charge")


@durable_execution
async def decides_by_chance(event: dict) -> str:
    """Which way it goes is decided anew in each replay."""
    gift = random.random()
    await step(one, name=f"gift {gift:.12f}")
    return await step(pack, name="pack")


@durable_execution
async def decides_once(event: dict) -> str:
    async def draw() -> float:
        return random.random()

    gift = await step(draw, name="draw")
    await step(one, name=f"gift {'yes' if gift < 2 else 'no'}")
    return await step(pack, name="pack")


_seen: dict[str, list[str]] = {}


@durable_execution
async def remembers_in_the_module(event: dict) -> int:
    """What the steps found is in the process, which may be another after each of them."""
    found = _seen.setdefault(event["order"], [])

    async def look(name: str) -> str:
        found.append(name)
        return name

    for name in ("a", "b", "c"):

        async def body(name: str = name) -> str:
            return await look(name)

        await step(body, name=name)
    return len(set(found))


@durable_execution
async def remembers_in_results(event: dict) -> int:
    async def look(name: str) -> str:
        return name

    found = set()
    for name in ("a", "b", "c"):

        async def body(name: str = name) -> str:
            return await look(name)

        found.add(await step(body, name=name))
    return len(found)


@durable_execution
async def sleeps_once(event: dict) -> str:
    """Blocks where nobody hears of it, until it is killed; the next one finds the marker."""
    if not os.path.exists(event["marker"]):
        open(event["marker"], "w").close()
        signal.pause()
    return "awake"


# -- for random plans ----------------------------------------------------------------------


async def recorded(name: str) -> str:
    ledger.record("body", step=name)
    return name


async def branch(number: int) -> str:
    async def first() -> str:
        return await recorded(f"first {number}")

    async def second() -> str:
        return await recorded(f"second {number}")

    await step(first, name=f"first {number}")
    await wait(timedelta(minutes=number), name=f"pause {number}")
    return await step(second, name=f"second {number}")


@durable_execution
async def recorded_throughout(event: dict) -> list[str]:
    """Steps in a row, with a retry, and in branches that wait; each records that it ran."""

    async def flaky() -> str:
        if get_step_context().attempt < 2:
            raise RuntimeError("not yet")
        return await recorded("flaky")

    async def plain() -> str:
        return await recorded("plain")

    found = [await step(plain, name="plain"), await step(flaky, name="flaky", retry_strategy=AGAIN)]
    batch = await map(branch, [1, 2, 3], name="branches")
    return found + batch.get_results()


@durable_execution
async def forgets_to_await(event: dict) -> None:
    step(charge)
