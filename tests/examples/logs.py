"""Logging: ordinary loggers; a replay does not say things twice."""

from __future__ import annotations

import logging
from datetime import timedelta

from async_durable_execution import durable_callable, durable_execution, step, wait

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


@durable_callable
async def charge(amount: int) -> None:
    logger.warning("charging %d", amount)


@durable_execution
async def pay_in_two_parts(event: dict) -> None:
    logger.info("order %s", event["order_id"])
    await step(charge(event["amount"] // 2), name="first")
    await wait(timedelta(days=30), name="month")
    logger.info("second part")
    await step(charge(event["amount"] // 2), name="second")
    print("paid in full")
