"""Suite 7: wait_for_callback."""

from __future__ import annotations

from typing import Any

from async_durable_execution import (
    CallableRuntimeError,
    CallbackError,
    durable_execution,
    run_in_child_context,
    step,
    wait,
    wait_for_callback,
)

from .step import give


async def submit() -> None:
    """The id is found in the history by whoever answers."""


@durable_execution
async def basic(event: str) -> Any:
    return await wait_for_callback(submit, name=event)


@durable_execution
async def unnamed(event: None) -> Any:
    return await wait_for_callback(submit)


@durable_execution
async def three_seconds(event: str) -> Any:
    return await wait_for_callback(submit, name=event, timeout=3)


@durable_execution
async def failure_caught(event: str) -> Any:
    try:
        return await wait_for_callback(submit, name=event)
    except (CallbackError, CallableRuntimeError):
        return "recovered"


@durable_execution
async def in_child(event: str) -> Any:
    async def child() -> Any:
        return await wait_for_callback(submit, name=event)

    return await run_in_child_context(child, name="wrapper")


@durable_execution
async def after_wait_and_step(event: str) -> Any:
    await wait(1)
    await step(give({"fixed": "data"}))
    return await wait_for_callback(submit, name=event)


@durable_execution
async def silent(event: str) -> Any:
    return await wait_for_callback(submit, name=event, heartbeat_timeout=5)


CASES = {
    "7-1": basic,
    "7-3": unnamed,
    "7-5": three_seconds,
    "7-6": failure_caught,
    "7-8": in_child,
    "7-10": after_wait_and_step,
    "7-12": silent,
    "7-15": basic,
}
