"""What operations carry: types that JSON lacks, a SerDes of one's own, much data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from async_durable_execution import (
    SerDes,
    durable_callable,
    durable_execution,
    step,
    wait,
)


@durable_callable
async def open_invoice() -> dict:
    return {
        "id": UUID("7d4bbd08-9c3c-4b1c-9d1e-1f6f6c1a2b3c"),
        "total": Decimal("19.90"),
        "due": datetime(2030, 1, 31, 12, tzinfo=UTC),
        "lines": ("book", "lamp"),
    }


@durable_execution
async def keep_types(_: dict) -> dict:
    """Decimals, dates, UUIDs, tuples and bytes survive a replay as what they are."""
    invoice = await step(open_invoice(), name="invoice")
    await wait(timedelta(days=30), name="due")
    return {name: type(value).__name__ for name, value in invoice.items()}


@dataclass(frozen=True)
class Money:
    amount: int
    currency: str


class MoneySerDes(SerDes[Money]):
    """`1990 EUR`: stored as a person would write it."""

    async def serialize(self, value: Money) -> str:
        return f"{value.amount} {value.currency}"

    async def deserialize(self, data: str) -> Money:
        amount, currency = data.split()
        return Money(int(amount), currency)


@durable_callable
async def look_up_price(item: str) -> Money:
    return Money(len(item) * 100, "EUR")


@durable_execution
async def sell_abroad(event: dict) -> dict:
    price = await step(look_up_price(event["item"]), name="price", serdes=MoneySerDes())
    await wait(timedelta(days=1), name="exchange-rate")
    return {"amount": price.amount, "currency": price.currency}


@durable_callable
async def photograph(size: int) -> str:
    return "x" * size


@durable_execution
async def photograph_shelves(event: dict) -> list[int]:
    """Much state: it comes back in pages when the function is invoked again."""
    photos = [
        await step(photograph(event["size"]), name=f"shelf-{shelf}")
        for shelf in range(event["shelves"])
    ]
    await wait(timedelta(days=1), name="film-develops")
    return [len(photo) for photo in photos]


@durable_execution
async def export_everything(event: dict) -> str:
    """A result as large as Lambda's response (6 MiB) does not fit into it with its envelope.

    The SDK checkpoints it then. What is over 6 MiB the service refuses: store it elsewhere.
    """
    return "x" * event["bytes"]
