"""The replay-safe time of the SDK, `now()` and `timestamp()`, shows the execution's clock.

Where time is skipped, that clock is ahead of the worker's. `datetime.now()` and `time.time()` are
the worker's own, as ever.
"""

from __future__ import annotations

import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Protocol

import async_durable_execution as sdk


class Clocked(Protocol):
    clock_ahead: timedelta


#: The client of the invocation that the running code belongs to.
_client: ContextVar[Clocked] = ContextVar("client")


def follow(client: Clocked) -> None:
    """Let the code of the invocation that is running here see the clock that `client` hears of."""
    _client.set(client)


def install() -> None:
    """Have the SDK ask here for the time that it checkpoints; its first release has none."""
    if not hasattr(sdk, "now"):
        return
    module = vars(sys.modules[sdk.now.__module__])
    if "_now_value" in module and "_timestamp_value" in module:
        module["_now_value"], module["_timestamp_value"] = _now, _timestamp


def _ahead() -> timedelta:
    client = _client.get(None)
    return timedelta() if client is None else client.clock_ahead


async def _now() -> datetime:
    return datetime.now(UTC) + _ahead()


async def _timestamp() -> float:
    return time.time() + _ahead().total_seconds()
