"""Payloads as the values that handlers and tests wrote."""

from __future__ import annotations

import asyncio
import inspect
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from async_durable_execution import ExtendedTypeSerDes

if TYPE_CHECKING:
    from async_durable_execution import SerDes


def deserialize(payload: str | None, serdes: SerDes[Any] | None = None) -> Any:
    """Return the value of `payload`, read by `serdes`, or else by the SDK's default serializer, or
    as plain JSON."""
    if not payload:
        return None
    if serdes is None:
        try:
            return ExtendedTypeSerDes[Any]().deserialize_sync(payload)
        except Exception:
            # The default serializer did not write this payload: it is JSON by other means.
            return json.loads(payload)
    at_once = getattr(serdes, "deserialize_sync", None)
    if at_once is not None:
        return at_once(payload)
    value: Any = serdes.deserialize(payload)
    if not inspect.isawaitable(value):
        return value

    async def finish() -> Any:
        return await value

    # The coroutine gets a thread of its own, as the test may be inside a running event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, finish()).result()


def shown(payload: str) -> str:
    """Return the text for people: `payload` itself, or what the SDK's own format says.

    That is JSON, or Python where JSON has no such value.
    """
    if not payload.startswith('{"t":'):
        return payload
    try:
        value = ExtendedTypeSerDes[Any]().deserialize_sync(payload)
    except Exception:
        return payload
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)
