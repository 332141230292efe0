"""Handlers for our own cases: what the published half does not show."""

from __future__ import annotations

import os
import threading
from typing import Any

from async_durable_execution import (
    CallableRuntimeError,
    StepSemantics,
    create_callback,
    durable_execution,
    get_step_context,
    invoke,
    step,
    wait,
)

from .deployment import Deployment
from .step import every_second


@durable_execution
async def calling(event: Any) -> Any:
    try:
        return await invoke("target", event)
    except CallableRuntimeError as error:
        return error.error_type


def plain(event: Any, context: Any) -> Any:
    return {"echo": event}


def refusing(event: Any, context: Any) -> None:
    raise ValueError("the target refuses")


@durable_execution
async def patient(event: Any) -> None:
    await wait(3600)


@durable_execution
async def hanging_once(event: None) -> str:
    async def body() -> str:
        if get_step_context().attempt == 1:
            threading.Event().wait()
        return "second attempt"

    return await step(
        body,
        step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
        retry_strategy=every_second(2),
    )


@durable_execution
async def always_crashing(event: None) -> None:
    os._exit(7)


@durable_execution
async def two_timeouts(event: None) -> Any:
    callback = await create_callback(name="both", timeout=60, heartbeat_timeout=3)
    return await callback.result()


@durable_execution
async def large(event: int) -> str:
    return "x" * event


@durable_execution
async def timed_out_meanwhile(event: None) -> None:
    await wait(3600)


CASES = {
    "missing target": calling,
    "plain target": Deployment(calling, plain={"target": plain}),
    "failing plain target": Deployment(calling, plain={"target": refusing}),
    "target that times out": Deployment(
        calling, durable={"target": patient}, target_options={"execution_timeout": 10}
    ),
    "hanging step": Deployment(hanging_once, options={"invocation_timeout": 1}),
    "crash": Deployment(always_crashing, options={"invocation_retries": 1}),
    "heartbeat before time-out": two_timeouts,
    "large result": large,
    "execution time-out": Deployment(timed_out_meanwhile, options={"execution_timeout": 5}),
}
