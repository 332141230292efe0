"""flow: a graph of nodes, run as their inputs become ready."""

from __future__ import annotations

from datetime import timedelta

from async_durable_execution import (
    ErrorObject,
    FlowNodeResult,
    RetryStrategy,
    durable_callable,
    durable_dag,
    durable_execution,
    durable_node,
    flow,
    node,
    step,
    wait,
)


@durable_callable
async def price(item: str) -> int:
    return len(item) * 10


@durable_node
async def quote(item: str) -> int:
    return await step(price(item), name="price")


@durable_node
async def freight(country: str) -> int:
    await wait(timedelta(hours=3), name="ask-carrier")
    return 7 if country == "here" else 70


@durable_node
async def total(goods: int, carriage: int) -> int:
    return goods + carriage


@durable_dag
def offer(item: str, country: str):
    """Dependencies follow from the inputs: `total` needs both, which run side by side."""
    goods = node(quote(item), name="goods")
    carriage = node(freight(country), name="carriage")
    return node(total(goods.outcome, carriage.outcome), name="total").outcome


@durable_execution
async def make_offer(event: dict) -> int:
    result = await flow(offer(event["item"], event["country"]), name="offer")
    return result.output


class CardRefused(Exception):
    pass


@durable_callable
async def charge_card(amount: int) -> str:
    if amount > 100:
        raise CardRefused(f"no credit for {amount}")
    return "paid by card"


@durable_node
async def charge(amount: int) -> str:
    return await step(charge_card(amount), name="card", retry_strategy=RetryStrategy.none())


@durable_node
async def send_invoice(error: ErrorObject) -> str:
    return f"invoice, for: {error.message}"


@durable_node
async def thank(_: str) -> str:
    return "thank you"


@durable_dag
def payment(amount: int):
    """A node that takes another's error runs only if that one failed; the rest is skipped."""
    charged = node(charge(amount), name="charge")
    invoiced = node(send_invoice(charged.error), name="invoice")
    thanked = node(thank(charged.outcome), name="thank")
    return invoiced.result, thanked.result


def outcome(result: FlowNodeResult[str]) -> str:
    return result.outcome or result.status.value.lower()


@durable_execution
async def settle(event: dict) -> dict:
    result = await flow(payment(event["amount"]), name="payment")
    invoiced, thanked = result.output
    return {"invoice": outcome(invoiced), "thanks": outcome(thanked)}
