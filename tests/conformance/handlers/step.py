"""Suite 1: steps."""

from __future__ import annotations

import logging
import os
from typing import Any

from async_durable_execution import (
    CallableRuntimeError,
    JitterStrategy,
    RetryStrategy,
    SerDes,
    StepSemantics,
    durable_callable,
    durable_execution,
    get_step_context,
    step,
    wait,
)

logger = logging.getLogger(__name__)


class TransientError(Exception):
    """It may go away."""


def every_second(attempts: int, *types: type[Exception]) -> RetryStrategy:
    return RetryStrategy(
        max_attempts=attempts,
        initial_delay=1,
        max_delay=1,
        jitter_strategy=JitterStrategy.NONE,
        retryable_error_types=list(types) or None,
    )


class Uppercase(SerDes[str]):
    """Writes text as it is, in capitals."""

    async def serialize(self, value: str) -> str:
        return value.upper()

    async def deserialize(self, data: str) -> str:
        return data


@durable_callable
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@durable_callable
async def give(value: Any) -> Any:
    return value


@durable_callable
async def fail(error: Exception) -> None:
    raise error


@durable_callable
async def fail_once(error: Exception, result: Any) -> Any:
    if get_step_context().attempt == 1:
        raise error
    return result


@durable_execution
async def greeting(event: str) -> str:
    return await step(greet(event))


@durable_execution
async def named(event: str) -> str:
    return await step(greet(event), name="custom_step_name")


@durable_execution
async def nested_result(event: dict[str, Any]) -> dict[str, Any]:
    return await step(give({"user": event, "count": len(event["tags"])}))


@durable_execution
async def own_serdes(event: str) -> str:
    return await step(give(event), serdes=Uppercase())


@durable_execution
async def step_and_wait(event: None) -> str:
    result = await step(give("computed"))
    await wait(2)
    return result


@durable_execution
async def second_attempt(event: None) -> str:
    return await step(
        fail_once(RuntimeError("not yet"), "Operation succeeded"), retry_strategy=every_second(3)
    )


@durable_execution
async def exhausted(event: None) -> None:
    await step(fail(RuntimeError("never")), retry_strategy=every_second(4))


@durable_execution
async def transient_only(event: None) -> str:
    return await step(
        fail_once(TransientError("busy"), "done"),
        retry_strategy=every_second(3, TransientError),
    )


@durable_callable
async def crash_once(text: str) -> str:
    logger.info("at most once: %s", text)
    if get_step_context().attempt == 1:
        os._exit(1)
    return "succeeded on second attempt"


@durable_execution
async def at_most_once(event: str) -> str:
    return await step(
        crash_once(event),
        step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
        retry_strategy=every_second(3),
    )


@durable_execution
async def caught(event: None) -> str:
    try:
        result = await step(fail(RuntimeError("no")), retry_strategy=RetryStrategy.none())
    except CallableRuntimeError:
        result = "fallback_result"
    return await step(give(result))


CASES = {
    "1-1": greeting,
    "1-2": named,
    "1-4": nested_result,
    "1-6": own_serdes,
    "1-8": step_and_wait,
    "1-11": second_attempt,
    "1-12": exhausted,
    "1-15": transient_only,
    "1-18": at_most_once,
    "1-20": caught,
}
