"""The functions that the gateway serves in its tests."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

from async_durable_execution import (
    CallbackError,
    create_callback,
    durable_execution,
    step,
    wait,
)


async def _text() -> str:
    return "done"


@durable_execution
async def order(event: Any) -> Any:
    """A step, an hour, a step."""
    await step(_text, name="first")
    await wait(timedelta(hours=1), name="pause")
    await step(_text, name="second")
    return event


@durable_execution
async def refused(event: Any) -> Any:
    raise ValueError("no credit")


@durable_execution
async def approval(event: Any) -> Any:
    callback = await create_callback(
        name="approval", timeout=timedelta(days=300), heartbeat_timeout=timedelta(days=200)
    )
    try:
        return {"approved": await callback.result()}
    except CallbackError as error:
        return {"refused": str(error)}


@durable_execution
async def impatient(event: Any) -> Any:
    """A callback that times out, and then another that nobody answers."""
    first = await create_callback(name="first", timeout=timedelta(seconds=1))
    try:
        await first.result()
    except CallbackError:
        second = await create_callback(name="second", timeout=timedelta(days=300))
        return await second.result()


def plain(event: Any, context: Any) -> Any:
    print(f"plain has {event}")
    client = context.client_context
    return {
        "event": event,
        "tenant": context.tenant_id,
        "custom": None if client is None else client.custom,
    }


def talkative(event: Any, context: Any) -> None:
    for number in range(1000):
        print(f"line {number}")


class CardRefused(Exception):
    pass


def failing(event: Any, context: Any) -> None:
    raise CardRefused("no credit")


def exiting(event: Any, context: Any) -> None:
    print("last words", flush=True)
    os._exit(3)


def sleeping(event: Any, context: Any) -> None:
    time.sleep(60)


def large(event: Any, context: Any) -> str:
    return "x" * (6 * 1024 * 1024)
