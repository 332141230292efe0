"""An order: it is priced, paid, approved if it is dear, and sent when it cannot be withdrawn."""

import logging
from datetime import timedelta

from async_durable_execution import (
    CallbackError,
    RetryStrategy,
    durable_callable,
    durable_execution,
    get_current_context,
    map,
    step,
    wait,
    wait_for_callback,
)

from shop import payments

PRICES = {"book": 12, "lamp": 45, "piano": 9000}
DEAR = 1000
log = logging.getLogger(__name__)


async def price(item: str) -> int:
    return PRICES[item]


@durable_callable
async def charge(order_id: str, amount: int) -> str:
    payment = payments.charge(order_id, amount)
    log.info("order %s is paid", order_id)
    return payment


@durable_callable
async def refund(payment: str) -> None:
    payments.refund(payment)


async def ask_for_approval() -> None:
    log.info("approve or refuse with %s", get_current_context().callback_id)


@durable_callable
async def send(order_id: str) -> str:
    return f"parcel-{order_id}"


@durable_execution
async def place_order(event: dict) -> dict:
    order_id = event["order_id"]
    prices = await map(price, event["items"], name="prices")
    amount = sum(prices.get_results())
    payment = await step(
        charge(order_id, amount), name="charge", retry_strategy=RetryStrategy.none()
    )
    if amount > DEAR:
        try:
            await wait_for_callback(ask_for_approval, name="approval", timeout=timedelta(days=3))
        except CallbackError:
            await step(refund(payment), name="refund")
            return {"order_id": order_id, "status": "refunded"}
    await wait(timedelta(days=14), name="withdrawal")
    parcel = await step(send(order_id), name="send")
    return {"order_id": order_id, "status": "sent", "parcel": parcel}
