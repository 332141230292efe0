"""Callbacks: somebody outside answers, or does not."""

from __future__ import annotations

from datetime import timedelta

from async_durable_execution import (
    CallbackError,
    CompletionConfig,
    JsonSerDes,
    create_callback,
    durable_callable,
    durable_execution,
    get_current_context,
    parallel,
    step,
    wait,
    wait_for_callback,
)


@durable_callable
async def ask_manager(callback_id: str, amount: int) -> str:
    """Where a real function would send a mail whose link carries the callback's id."""
    return f"may we refund {amount}? answer to {callback_id}"


@durable_execution
async def refund(event: dict) -> dict:
    """Create a callback, hand its id out in a step, suspend until it is answered."""
    approval = await create_callback(
        name="approval",
        timeout=timedelta(days=3),
        heartbeat_timeout=timedelta(hours=8),
        serdes=JsonSerDes(),
    )
    await step(ask_manager(approval.callback_id, event["amount"]), name="ask")
    try:
        answer = await approval.result()
    except CallbackError as error:
        return {"refunded": 0, "because": str(error)}
    return {"refunded": event["amount"], "approved_by": answer["by"]}


async def call_courier() -> str:
    callback_id = get_current_context().callback_id
    return f"collect the parcel, then answer to {callback_id}"


@durable_execution
async def hand_over(event: dict) -> dict:
    """The same in one operation. The answer is text as it came where no SerDes is given."""
    receipt = await wait_for_callback(call_courier, name="courier", timeout=timedelta(days=1))
    return {"order_id": event["order_id"], "receipt": receipt}


@durable_execution
async def first_answer(event: dict) -> str:
    """A race: an offer that lapses against a wait. Whatever is due first wins."""

    async def offer() -> str:
        callback = await create_callback(
            name="offer", timeout=timedelta(minutes=event["offer_minutes"])
        )
        try:
            return f"taken: {await callback.result()}"
        except CallbackError as error:
            return f"lapsed: {error}"

    async def shop_closes() -> str:
        await wait(timedelta(minutes=event["open_minutes"]), name="open")
        return "closed"

    race = await parallel(
        [offer, shop_closes], name="race", completion_config=CompletionConfig.first_successful()
    )
    return race.get_results()[0]
