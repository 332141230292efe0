"""Waits: the function is not running, and costs nothing, until the time has come."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from async_durable_execution import durable_callable, durable_execution, step, wait


@durable_callable
async def send_reminder(invoice: str, number: int) -> str:
    return f"reminder {number} for {invoice}"


@durable_execution
async def remind(event: dict) -> list[str]:
    """Three reminders, a month apart."""
    sent = []
    for number in range(1, 4):
        await wait(timedelta(days=30), name=f"month-{number}")
        sent.append(await step(send_reminder(event["invoice"], number), name=f"send-{number}"))
    return sent


@durable_execution
async def wait_for_the_slower(event: dict) -> str:
    """Waits side by side take as long as the longest of them."""
    await asyncio.gather(
        wait(timedelta(hours=6), name="packing"),
        wait(timedelta(days=2), name="customs"),
    )
    return f"{event['order_id']} has left"
