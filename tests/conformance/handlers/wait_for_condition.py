"""Suite 6: wait_for_condition."""

from __future__ import annotations

from typing import Any

from async_durable_execution import durable_execution, step, wait_for_condition

from .step import give


async def increment(state: int | None) -> int:
    return (state or 0) + 1


async def poll(threshold: int, delay: int = 1, name: str | None = None) -> int:
    return await wait_for_condition(
        increment,
        initial_state=0,
        name=name,
        polling_strategy=lambda state, attempt: delay if state < threshold else None,
    )


@durable_execution
async def count(event: int) -> int:
    return await poll(event)


@durable_execution
async def named(event: int) -> int:
    return await poll(2, name="poll-status")


@durable_execution
async def every_two_seconds(event: int) -> int:
    return await poll(event, delay=2)


@durable_execution
async def failing(event: None) -> None:
    async def check(state: Any) -> Any:
        raise RuntimeError("the check itself fails")

    await wait_for_condition(check, polling_strategy=lambda state, attempt: 1)


@durable_execution
async def of_an_object(event: None) -> dict[str, Any]:
    async def check(state: dict[str, Any] | None) -> dict[str, Any]:
        attempts = (state or {"attempts": 0})["attempts"] + 1
        return {"status": "DONE" if attempts == 2 else "PENDING", "attempts": attempts}

    return await wait_for_condition(
        check,
        initial_state={"status": "PENDING", "attempts": 0},
        polling_strategy=lambda state, attempt: 1 if state["status"] == "PENDING" else None,
    )


@durable_execution
async def then_step(event: int) -> int:
    return await step(give(await poll(event) * 10))


CASES = {
    "6-1": count,
    "6-3": named,
    "6-5": every_two_seconds,
    "6-7": failing,
    "6-9": of_an_object,
    "6-12": then_step,
}
