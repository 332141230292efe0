"""Child contexts: operations grouped, and blocks of them retried."""

from __future__ import annotations

import json
from datetime import timedelta

from async_durable_execution import (
    CallableRuntimeError,
    JitterStrategy,
    RetryStrategy,
    durable_callable,
    durable_execution,
    get_current_context,
    run_in_child_context,
    step,
    wait,
    with_retry,
)


@durable_callable
async def pick(item: str) -> str:
    return f"{item} picked"


@durable_callable
async def pack(items: list[str]) -> list[str]:
    async def pick_all() -> list[str]:
        return [await step(pick(item), name=f"pick-{item}") for item in items]

    picked = await run_in_child_context(pick_all, name="pick")
    await wait(timedelta(hours=2), name="glue-dries")
    return picked


@durable_execution
async def prepare_parcel(event: dict) -> list[str]:
    """Contexts in contexts; operations inside are numbered and named apart from those outside."""
    return await run_in_child_context(pack(event["items"]), name="pack")


@durable_execution
async def prepare_without_record(event: dict) -> list[str]:
    """A virtual context leaves no record: its operations are its parent's children."""
    return await run_in_child_context(pack(event["items"]), name="pack", is_virtual=True)


@durable_callable
async def scan_page(number: int) -> str:
    return str(number) * 100_000


@durable_callable
async def scan_catalogue(pages: int) -> list[str]:
    return [await step(scan_page(number), name=f"page-{number}") for number in range(pages)]


@durable_execution
async def archive_catalogue(event: dict) -> list[int]:
    """Over 256 KiB a context's result is not stored: a replay builds it from its children."""
    pages = await run_in_child_context(
        scan_catalogue(event["pages"]),
        name="scan",
        summary_generator=lambda pages: json.dumps({"pages": len(pages)}),
    )
    await wait(timedelta(days=1), name="archive-opens")
    return [len(page) for page in pages]


class OutOfStock(Exception):
    pass


@durable_callable
async def reserve(item: str) -> str:
    raise OutOfStock(item)


@durable_execution
async def reserve_or_apologise(event: dict) -> dict:
    """What a context raises fails it, and comes out with its type and text."""

    async def reserve_all() -> None:
        for item in event["items"]:
            await step(reserve(item), name="reserve", retry_strategy=RetryStrategy.none())

    try:
        await run_in_child_context(reserve_all, name="reservations")
    except CallableRuntimeError as error:
        await wait(timedelta(days=1), name="apology-written")
        return {"sorry": str(error)}
    return {"reserved": event["items"]}


@durable_callable
async def quote(attempt: int) -> int:
    return 100 // attempt


@durable_execution
async def haggle(event: dict) -> int:
    """with_retry repeats a whole block of operations, with a wait between."""

    async def offer() -> int:
        price = await step(quote(get_current_context().attempt), name="quote")
        if price > event["limit"]:
            raise ValueError(f"{price} is too much")
        return price

    return await with_retry(
        offer,
        name="haggle",
        retry_strategy=RetryStrategy(
            max_attempts=5,
            initial_delay=timedelta(hours=1),
            max_delay=timedelta(days=1),
            jitter_strategy=JitterStrategy.NONE,
        ),
    )
