"""A whole order: steps one after the other and side by side, a wait, a child context."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from async_durable_execution import (
    durable_callable,
    durable_execution,
    run_in_child_context,
    step,
    wait,
)

PRICES = {"book": 1200, "lamp": 4500}


@durable_callable
async def price(item: str) -> int:
    return PRICES[item]


@durable_callable
async def charge(order_id: str, amount: int) -> str:
    return f"payment-{order_id}-{amount}"


@durable_callable
async def print_label(order_id: str) -> str:
    return f"label-{order_id}"


@durable_callable
async def book_courier(label: str) -> str:
    return f"courier for {label}"


@durable_callable
async def ship(order_id: str) -> dict[str, str]:
    """Two steps that belong together: the history shows them inside "ship"."""
    label = await step(print_label(order_id), name="label")
    courier = await step(book_courier(label), name="courier")
    return {"label": label, "courier": courier}


@durable_execution
async def place_order(event: dict) -> dict:
    order_id = event["order_id"]
    prices = await asyncio.gather(
        *(step(price(item), name=f"price-{item}") for item in event["items"])
    )
    payment = await step(charge(order_id, sum(prices)), name="charge")
    await wait(timedelta(days=14), name="withdrawal-period")
    shipment = await run_in_child_context(ship(order_id), name="ship")
    return {"order_id": order_id, "payment": payment, **shipment}
