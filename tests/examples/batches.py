"""map and parallel: many branches, each a context of its own, and a rule for when to stop."""

from __future__ import annotations

from datetime import timedelta

from async_durable_execution import (
    BatchResult,
    CompletionConfig,
    NestingType,
    RetryStrategy,
    durable_callable,
    durable_execution,
    map,
    parallel,
    step,
    wait,
)


class AddressUnknown(Exception):
    pass


@durable_callable
async def post(parcel: str) -> str:
    if parcel.startswith("lost"):
        raise AddressUnknown(parcel)
    return f"{parcel} posted"


async def ship(parcel: str) -> str:
    return await step(post(parcel), name=f"post-{parcel}", retry_strategy=RetryStrategy.none())


def summary(batch: BatchResult[str]) -> dict:
    return {
        "results": batch.get_results(),
        "errors": [error.message for error in batch.get_errors()],
        "reason": batch.completion_reason.value,
    }


@durable_execution
async def ship_all(event: dict) -> dict:
    """One branch per item. Any failure ends the batch, unless some are tolerated."""
    batch = await map(
        ship,
        event["parcels"],
        name="ship",
        item_namer=lambda parcel, index: f"ship-{parcel}",
        completion_config=CompletionConfig(tolerated_failure_count=event.get("tolerated")),
    )
    return summary(batch)


@durable_execution
async def ship_one_by_one(event: dict) -> dict:
    """With `max_concurrency=1` a branch starts when the one before it has ended, waits included."""

    async def ship_and_rest(parcel: str) -> str:
        await wait(timedelta(hours=1), name=f"load-{parcel}")
        return await ship(parcel)

    return summary(await map(ship_and_rest, event["parcels"], name="ship", max_concurrency=1))


@durable_execution
async def cheapest_courier(event: dict) -> dict:
    """Enough is enough: two quotes of three, the slowest courier is not waited for."""

    def courier(name: str, hours: int):
        async def quote() -> str:
            await wait(timedelta(hours=hours), name=f"{name}-thinks")
            return name

        return quote

    batch = await parallel(
        [courier(name, hours) for name, hours in event["couriers"].items()],
        name="quotes",
        completion_config=CompletionConfig(min_successful=2),
    )
    return summary(batch)


@durable_execution
async def ship_flat(event: dict) -> dict:
    """Flat nesting: no context per branch, so half the records; its steps are the batch's."""
    return summary(
        await map(ship, event["parcels"], name="ship", nesting_type=NestingType.FLAT)
    )
