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


async def load_and_ship(parcel: str) -> str:
    await wait(timedelta(hours=1), name=f"load-{parcel}")
    return await ship(parcel)


def summary(batch: BatchResult[str]) -> dict:
    return {
        "results": batch.get_results(),
        "errors": [error.message for error in batch.get_errors()],
        "reason": batch.completion_reason.value,
    }


@durable_execution
async def ship_all(event: dict) -> dict:
    """One branch per parcel, all of them side by side."""
    batch = await map(
        load_and_ship,
        event["parcels"],
        name="ship",
        item_namer=lambda parcel, index: f"ship-{parcel}",
        max_concurrency=event.get("at_once"),
    )
    return summary(batch)


@durable_execution
async def ship_what_can_be(event: dict) -> dict:
    """A failure ends the batch, unless some are tolerated. The handler sees which there were."""
    batch = await map(
        ship,
        event["parcels"],
        name="ship",
        item_namer=lambda parcel, index: f"ship-{parcel}",
        max_concurrency=1,
        completion_config=CompletionConfig(tolerated_failure_count=event["tolerated"]),
    )
    return summary(batch)


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
    """Flat nesting: no context per branch; what happens in them are children of the batch."""
    return summary(await map(ship, event["parcels"], name="ship", nesting_type=NestingType.FLAT))
