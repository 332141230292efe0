"""wait_for_condition: look again later, with what was seen the last time."""

from __future__ import annotations

from datetime import timedelta

from async_durable_execution import (
    ExecutionError,
    JitterStrategy,
    PollingStrategy,
    durable_execution,
    wait_for_condition,
)

ROUTE = ["warehouse", "harbour", "customs", "delivered"]


async def look(seen: list[str] | None) -> list[str]:
    """Gets the state that the last look returned, returns the next one."""
    seen = seen or []
    return [*seen, ROUTE[len(seen)]]


def until_delivered(seen: list[str], attempt: int) -> timedelta | None:
    """When to look again; None: never, the state is the result."""
    return None if seen[-1] == "delivered" else timedelta(hours=6 * attempt)


@durable_execution
async def follow_parcel(event: dict) -> dict:
    seen = await wait_for_condition(
        look, initial_state=[], name="parcel", polling_strategy=until_delivered
    )
    return {"order_id": event["order_id"], "route": seen}


async def is_paid(_: bool | None) -> bool:
    return False


@durable_execution
async def await_payment(event: dict) -> str:
    """The ready-made strategy looks again while the state is falsy, a limited number of times."""
    strategy = PollingStrategy(
        max_attempts=3,
        initial_delay=timedelta(days=7),
        max_delay=timedelta(days=7),
        jitter_strategy=JitterStrategy.NONE,
    )
    try:
        await wait_for_condition(is_paid, name="paid", polling_strategy=strategy)
    except ExecutionError:
        return f"{event['invoice']} goes to collection"
    return f"{event['invoice']} is settled"
