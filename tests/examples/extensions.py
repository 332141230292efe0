"""The extension SPI: operations of one's own, with their own subtype in the history."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from async_durable_execution import (
    ExtensionStepResult,
    durable_callable,
    durable_execution,
    get_extension_context,
    step,
)

from async_durable_execution_runner import ledger


def collect(total: int, *, at_once: int, every: timedelta, name: str) -> asyncio.Task[dict]:
    """An operation that gathers `total` pieces, some at a time. Its state outlives the waits."""

    async def a_round(state: dict | None) -> ExtensionStepResult[dict]:
        state = state or {"left": total, "rounds": 0}
        state = {"left": max(0, state["left"] - at_once), "rounds": state["rounds"] + 1}
        if state["left"]:
            return ExtensionStepResult.retry(state, every)
        return ExtensionStepResult.succeed(state)

    operation = get_extension_context().reserve(name)
    return operation.step(a_round, sub_type="acme-Collect")


@durable_execution
async def collect_parcels(event: dict) -> dict:
    return await collect(event["parcels"], at_once=10, every=timedelta(hours=4), name="collect")


@durable_callable
async def unload() -> str:
    return "unloaded"


def at_dock(
    work: Callable[[], Awaitable[str]], *, opens_in: timedelta, name: str
) -> asyncio.Task[str]:
    """An operation made of others: a wait and whatever is to be done, in one context."""

    async def body() -> str:
        opening = get_extension_context().reserve(f"{name}-opens")
        await opening.wait(opens_in, sub_type="acme-DockOpens")
        return await work()

    return get_extension_context().reserve(name).run_in_child_context(body, sub_type="acme-Dock")


@durable_execution
async def unload_truck(_: dict) -> str:
    async def work() -> str:
        return await step(unload(), name="unload")

    return await at_dock(work, opens_in=timedelta(hours=9), name="dock-7")


async def signed_quote(customs: str, *, name: str) -> dict:
    """An operation made of a chained invoke and a callback. Its parts have ids of their own, so
    that they may be asked for in any order."""
    context = get_extension_context()
    signature = context.reserve(f"{name}-signature", local_operation_id="signature")
    quote = context.reserve(f"{name}-quote", local_operation_id="quote")
    asked = quote.invoke("customs", {"parcel": customs}, sub_type="acme-Quote")
    signing = await signature.create_callback(sub_type="acme-Signature", timeout=timedelta(days=1))
    return {"quote": await asked, "signed_by": await signing.result()}


async def charge() -> None:
    ledger.record("charge", key="parcel-1")


@durable_execution
async def import_parcel(event: dict) -> dict:
    signed = await signed_quote(event["parcel"], name="import")

    async def pay(_: None) -> ExtensionStepResult[dict]:
        await charge()
        return ExtensionStepResult.succeed(signed)

    return await get_extension_context().reserve("pay").step(pay, sub_type="acme-Pay")
