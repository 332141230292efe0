"""Suite 3: child contexts."""

from __future__ import annotations

import json
from typing import Any

from async_durable_execution import (
    RetryStrategy,
    durable_callable,
    durable_execution,
    get_current_context,
    run_in_child_context,
    step,
    wait,
)

from .step import Uppercase, every_second, fail, fail_once, give


@durable_callable
async def stepping(value: Any) -> Any:
    return await step(give(value))


@durable_execution
async def single_step(event: str) -> str:
    return await run_in_child_context(stepping(event), name="child")


@durable_execution
async def named(event: dict[str, str]) -> str:
    return await run_in_child_context(stepping(event["value"]), name=event["name"])


@durable_execution
async def failing(event: None) -> None:
    async def child() -> None:
        await step(fail(RuntimeError("no")), retry_strategy=RetryStrategy.none())

    await run_in_child_context(child, name="child")


@durable_execution
async def nested(event: str) -> str:
    async def outer() -> str:
        await step(give(event))
        return await run_in_child_context(stepping(event), name="inner")

    return await run_in_child_context(outer, name="outer")


@durable_execution
async def retrying(event: str) -> str:
    async def child() -> str:
        return await step(fail_once(RuntimeError("not yet"), event), retry_strategy=every_second(3))

    return await run_in_child_context(child, name="child")


@durable_execution
async def step_and_wait(event: str) -> str:
    async def child() -> str:
        result = await step(give(event))
        await wait(2)
        return result

    return await run_in_child_context(child, name="child")


@durable_execution
async def large(event: str) -> int:
    async def child() -> str:
        # Printed: what a logger says is held back while the child is replayed.
        arn = get_current_context().durable_execution_arn
        print(json.dumps({"message": f"child runs with {event}", "executionArn": arn}))
        small = await step(give("x"))
        return small * 300_000

    result = await run_in_child_context(child, name="child")
    await wait(1)
    return len(result)


@durable_execution
async def own_serdes(event: str) -> str:
    return await run_in_child_context(stepping(event), name="child", serdes=Uppercase())


@durable_execution
async def nothing(event: None) -> None:
    async def child() -> None:
        return None

    return await run_in_child_context(child, name="child")


CASES = {
    "3-1": single_step,
    "3-2": named,
    "3-4": failing,
    "3-6": nested,
    "3-7": retrying,
    "3-10": step_and_wait,
    "3-11": large,
    "3-14": own_serdes,
    "3-16": nothing,
}
