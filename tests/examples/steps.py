"""Steps: work that is done once and remembered, retried, or interrupted."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from async_durable_execution import (
    CallableRuntimeError,
    JitterStrategy,
    RetryStrategy,
    StepInterruptedError,
    StepSemantics,
    durable_callable,
    durable_execution,
    get_step_context,
    step,
    wait,
)


class BankUnavailable(Exception):
    """The bank may answer later."""


class CardRefused(Exception):
    """The bank has answered: no."""


PATIENT = RetryStrategy(
    max_attempts=4,
    initial_delay=timedelta(hours=1),
    max_delay=timedelta(hours=3),
    backoff_rate=2,
    jitter_strategy=JitterStrategy.NONE,
    retryable_error_types=[BankUnavailable],
)


@durable_callable
async def charge(failures: int) -> str:
    attempt = get_step_context().attempt
    if attempt <= failures:
        raise BankUnavailable(f"no answer to attempt {attempt}")
    return f"paid at attempt {attempt}"


@durable_callable
async def charge_refused_card() -> str:
    raise CardRefused("the card has expired")


@durable_execution
async def pay_patiently(event: dict) -> str:
    """Retries after 1, 2 and 3 hours; the fourth failure is the handler's, as any exception."""
    return await step(charge(event["failures"]), name="charge", retry_strategy=PATIENT)


@durable_execution
async def pay_or_cancel(event: dict) -> dict:
    """An error that the strategy does not retry; what the step raised is in `error_type`."""
    try:
        await step(charge_refused_card(), name="charge", retry_strategy=PATIENT)
    except CallableRuntimeError as error:
        await wait(timedelta(days=1), name="cooling-off")
        return {"cancelled": event["order_id"], "because": error.error_type, "text": str(error)}
    return {"paid": event["order_id"]}


def enter(ledger: str, line: str) -> None:
    """Do something in the outside world, which no crash takes back."""
    with Path(ledger).open("a") as file:
        file.write(f"{line}\n")


def count(ledger: str) -> int:
    return len(Path(ledger).read_text().splitlines())


@durable_callable
async def print_label(ledger: str) -> str:
    enter(ledger, "label printed")
    if count(ledger) == 1:
        os._exit(3)
    return f"label {count(ledger)}"


@durable_execution
async def ship_at_least_once(event: dict) -> str:
    """The worker dies inside the step. The next one enters it again: two labels, one shipment."""
    return await step(print_label(event["ledger"]), name="label")


@durable_callable
async def charge_once(ledger: str) -> None:
    enter(ledger, "card charged")
    os._exit(3)


@durable_callable
async def look_up_payment(ledger: str) -> int:
    return count(ledger)


@durable_execution
async def charge_at_most_once(event: dict) -> dict:
    """The worker dies inside the step. It is not entered again: ask what became of it.

    The invocation that finds the interruption gets a `StepInterruptedError`; replays after
    it get the failed step's `CallableRuntimeError`. A handler has to treat both alike.
    """
    try:
        await step(
            charge_once(event["ledger"]),
            name="charge",
            step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
            retry_strategy=RetryStrategy.none(),
        )
    except (StepInterruptedError, CallableRuntimeError):
        await wait(timedelta(hours=1), name="settle")
        return {"payments": await step(look_up_payment(event["ledger"]), name="look-up")}
    return {"payments": 1}
