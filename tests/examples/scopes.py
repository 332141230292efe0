"""terminal_scope: clean up and compensate when a scope ends, not when it is suspended."""

from __future__ import annotations

from datetime import timedelta

from async_durable_execution import (
    CallableRuntimeError,
    DurableTerminalActions,
    RetryStrategy,
    durable_callable,
    durable_execution,
    step,
    terminal_scope,
    wait,
)


class CourierStrikes(Exception):
    pass


@durable_callable
async def reserve(item: str) -> str:
    return item


@durable_callable
async def charge(amount: int) -> int:
    return amount


@durable_callable
async def ship(strike: bool) -> str:
    if strike:
        raise CourierStrikes("nothing moves")
    return "shipped"


async def release_stock() -> None:
    """Undo `reserve`."""


async def refund() -> None:
    """Undo `charge`."""


async def unlock_warehouse() -> None:
    """To be done in any case."""


@durable_execution
async def ship_or_undo(event: dict) -> str:
    """Compensations run newest first if the scope fails, then clean-up, which always runs."""

    async def body(actions: DurableTerminalActions) -> str:
        actions.cleanup(unlock_warehouse, name="unlock-warehouse")
        await step(reserve(event["item"]), name="reserve")
        actions.compensate(release_stock, name="release-stock")
        await step(charge(event["amount"]), name="charge")
        actions.compensate(refund, name="refund")
        await wait(timedelta(days=2), name="collection-day")
        return await step(ship(event["strike"]), name="ship", retry_strategy=RetryStrategy.none())

    try:
        return await terminal_scope(body, name="shipment")
    except CallableRuntimeError as error:
        return f"undone: {error}"
