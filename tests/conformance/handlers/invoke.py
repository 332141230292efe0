"""Suite 5: chained invokes."""

from __future__ import annotations

from typing import Any

from async_durable_execution import (
    durable_execution,
    invoke,
    run_in_child_context,
    step,
    wait,
)

from .deployment import Deployment
from .step import Uppercase, give

TARGET = "target:live"


@durable_execution
async def echo(event: Any) -> Any:
    # Long enough for the caller to be suspended when this ends.
    await wait(1)
    return event


@durable_execution
async def refuse(event: Any) -> None:
    await wait(1)
    raise ValueError("the target refuses")


@durable_execution
async def passing_on(event: Any) -> Any:
    return await invoke(TARGET, event)


@durable_execution
async def for_a_tenant(event: dict[str, str]) -> Any:
    return await invoke(TARGET, event["payload"], tenant_id=event["tenantId"])


@durable_execution
async def invoke_and_wait(event: None) -> Any:
    result = await invoke(TARGET, "payload")
    await wait(1)
    return result


@durable_execution
async def step_and_invoke(event: None) -> Any:
    return await invoke(TARGET, await step(give("from the step")))


@durable_execution
async def in_child(event: None) -> Any:
    async def child() -> Any:
        return await invoke(TARGET, "from the child")

    return await run_in_child_context(child, name="child")


class UppercaseJson(Uppercase):
    async def serialize(self, value: Any) -> str:
        return f'{{"data": "{value["data"].upper()}"}}'


@durable_execution
async def own_serdes(event: dict[str, str]) -> Any:
    return await invoke(TARGET, event, serdes_payload=UppercaseJson())


def _chained(handler: Any, target: Any = echo) -> Deployment:
    return Deployment(handler, durable={TARGET: target})


CASES = {
    "5-1": _chained(passing_on),
    "5-3": _chained(passing_on),
    "5-5": _chained(passing_on, refuse),
    "5-8": _chained(for_a_tenant),
    "5-9": _chained(invoke_and_wait),
    "5-11": _chained(step_and_invoke),
    "5-13": _chained(in_child),
    "5-15": _chained(own_serdes),
}
