"""Payloads as the values that handlers and tests wrote."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from async_durable_execution import BatchItemStatus, BatchResult, ExtendedTypeSerDes

if TYPE_CHECKING:
    from async_durable_execution import SerDes


class _BatchResults:
    """How both SDKs write what `map` and `parallel` return: a mapping under a tag of its own."""

    tag = "br"

    def can_encode(self, value: Any) -> bool:
        return False

    def encode(self, value: Any, encode_value: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    def decode(self, value: Any, decode_value: Callable[[str, Any], Any]) -> BatchResult[Any]:
        return BatchResult[Any].from_dict(decode_value("m", value))


def _default_serdes() -> ExtendedTypeSerDes[Any]:
    try:
        return ExtendedTypeSerDes[Any](type_codecs=(_BatchResults(),))
    except TypeError:
        # Early releases of the SDK know the tag themselves, and take no other.
        return ExtendedTypeSerDes[Any]()


_DEFAULT = _default_serdes()


def deserialize(payload: str | None, serdes: SerDes[Any] | None = None) -> Any:
    """Return the value of `payload`, read by `serdes`, or else by the SDK's default serializer, or
    as plain JSON."""
    if not payload:
        return None
    if serdes is None:
        try:
            return _DEFAULT.deserialize_sync(payload)
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

    That is JSON, or Python where JSON has no such value. A batch is a list of its results, with the
    status of each item that has none.
    """
    if not payload.startswith('{"t":'):
        return payload
    try:
        value = _DEFAULT.deserialize_sync(payload)
    except Exception:
        return payload
    if isinstance(value, BatchResult):
        items = (
            _text(item.result) if item.status is BatchItemStatus.SUCCEEDED else item.status.value
            for item in value.all
        )
        return f"[{', '.join(items)}]"
    return _text(value)


def _text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)
