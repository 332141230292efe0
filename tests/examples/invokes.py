"""Chained invokes: one function calls another and waits for its result."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from async_durable_execution import (
    CallableRuntimeError,
    durable_callable,
    durable_execution,
    invoke,
    step,
    wait,
)


@durable_execution
async def fulfil_order(event: dict) -> dict:
    """Calls whatever is registered as "payments"; its failure is an exception here."""
    order = {"order_id": event["order_id"], "amount": event["amount"]}
    try:
        payment = await invoke("payments:live", order, name="payment")
    except CallableRuntimeError as error:
        return {"order": "cancelled", "because": error.error_type, "text": str(error)}
    return {"order": "paid", "payment": payment}


class CardRefused(Exception):
    pass


@durable_callable
async def charge(order_id: str, amount: int) -> str:
    return f"{order_id}:{amount}"


@durable_execution
async def take_payment(event: dict) -> str:
    """A durable target is an execution of its own, with its own history and clock."""
    await wait(timedelta(days=1), name="fraud-check")
    return await step(charge(event["order_id"], event["amount"]), name="charge")


@durable_execution
async def refuse_payment(event: dict) -> str:
    raise CardRefused(f"no credit for {event['order_id']}")


def take_payment_at_once(event: dict, context: Any) -> dict:
    """A plain Lambda function: one invocation, nothing is remembered of it but its result."""
    return {"paid": event["amount"], "by": context.function_name}


def refuse_payment_at_once(event: dict, context: Any) -> dict:
    raise CardRefused(f"no credit for {event['order_id']}")
