"""JSON that a client sent, looked at without holding up others.

Python's own parser cannot be interrupted, on a thread neither, and some megabytes of brackets keep
it busy for a second. So it is given only what has few values.
"""

from __future__ import annotations

import asyncio

import msgspec

from ..core.text import load_json

#: A text of no more bytes or characters is parsed at once, whatever is in it.
SMALL = 64 * 1024
#: The most values that a larger document may have where all of them are needed.
MOST_VALUES = 20_000
#: The most backslashes of such a document.
MOST_ESCAPES = 1_000_000

#: Reads a document and makes no value of what is in it.
_reader = msgspec.json.Decoder(msgspec.Raw)


async def has_few_values(text: bytes) -> bool:
    """Return whether a document, if it is JSON, certainly has no more than `MOST_VALUES` values and
    `MOST_ESCAPES` escapes, or is small."""
    if len(text) <= SMALL:
        return True
    if text.count(b"\\") > MOST_ESCAPES:
        return False
    if _most_values(text) <= MOST_VALUES:
        return True
    # Strings may have any number of commas and brackets.
    for escape in (b"\\\\", b'\\"'):
        await asyncio.sleep(0)
        text = text.replace(escape, b"")
    await asyncio.sleep(0)
    if text.count(b'"') > 4 * MOST_VALUES:
        return False
    return _most_values(b"".join(text.split(b'"')[::2])) <= MOST_VALUES


def _most_values(text: bytes) -> int:
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def check(text: str) -> None:
    """Check that a text is a JSON document.

    Raises:
        ValueError, RecursionError: The text is not JSON, or is nested too deeply.
    """
    if len(text) <= SMALL:
        load_json(text)
        return
    # JSON may have half a surrogate pair as an escape, which this reader refuses.
    for half in ("\\ud", "\\uD"):
        text = text.replace(half, "\\u0")
    try:
        _reader.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
