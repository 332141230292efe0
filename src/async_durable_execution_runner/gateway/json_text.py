"""JSON that a client sent, checked in steps that are too short to hold up others.

Python's own parser cannot be interrupted, not on another thread either, and some megabytes of
brackets keep it busy for seconds. So it is given only what has few values.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Generator, Iterator
from json import JSONDecodeError

from ..core.text import load_json

#: A text of no more bytes or characters is parsed at once, whatever is in it.
SMALL = 64 * 1024
#: The most values that a larger document may have where all of them are needed.
MOST_VALUES = 20_000
#: The most backslashes of such a document.
MOST_ESCAPES = 1_000_000
#: The characters that one step checks; each token counts for more than it has.
_STEP = 256 * 1024
_TOKEN = 64

_SPACE = r"[ \t\n\r]*+"
_SCALAR = (
    r'(?:"[^"\\\x00-\x1f]{0,256}+"|true|false|null|\[[ \t\n\r]*+\]|\{[ \t\n\r]*+\}|'
    r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)"
)
#: A part of a text: any number of characters, but not of escapes.
_part = re.compile(
    r'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+){0,20000}+'
)
_spaces = re.compile(_SPACE)
_scalar = re.compile(_SCALAR)
#: Many small values at a time, each with the comma after it.
_elements = re.compile(rf"(?:{_SPACE}{_SCALAR}{_SPACE},){{0,1000}}+")
_members = re.compile(
    rf'(?:{_SPACE}"[^"\\\x00-\x1f]{{0,256}}+"{_SPACE}:{_SPACE}{_SCALAR}{_SPACE},){{0,1000}}+'
)


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


async def check(text: str) -> None:
    """Check that a text is a JSON document.

    Raises:
        ValueError, RecursionError: The text is not JSON, or is nested too deeply.
    """
    if len(text) <= SMALL:
        load_json(text)
        return
    for _ in steps(text):
        await asyncio.sleep(0)


def steps(text: str) -> Iterator[None]:
    """Check that a text is a JSON document, with a pause after each step.

    Raises:
        ValueError, RecursionError: The text is not JSON, or is nested too deeply.
    """
    position, checked = 0, 0
    #: The brackets that are still to come, the next one last.
    closing: list[str] = []
    while True:
        if position - checked > _STEP:
            checked = position
            yield
        checked -= _TOKEN
        # A value begins here.
        position = _after_space(text, position)
        first = text[position : position + 1]
        if first == '"':
            position = yield from _after_text(text, position + 1)
        elif first in ("[", "{"):
            end = "]" if first == "[" else "}"
            position = _after_space(text, position + 1)
            if text[position : position + 1] != end:
                closing.append(end)
                if len(closing) > sys.getrecursionlimit():
                    raise RecursionError("it is nested too deeply")
                if end == "}":
                    position = yield from _after_key(text, position)
                continue
            position += 1
        elif (scalar := _scalar.match(text, position)) is not None:
            position = scalar.end()
        else:
            raise JSONDecodeError("Expecting value", text, position)
        # The value has ended, and others may end with it.
        position = _after_space(text, position)
        while closing and text[position : position + 1] == closing[-1]:
            closing.pop()
            checked -= _TOKEN
            position = _after_space(text, position + 1)
        if not closing:
            if position != len(text):
                raise JSONDecodeError("Extra data", text, position)
            return
        if text[position : position + 1] != ",":
            raise JSONDecodeError("Expecting ',' delimiter", text, position)
        small = _members if closing[-1] == "}" else _elements
        found = small.match(text, position + 1)
        assert found is not None
        position = found.end()
        if closing[-1] == "}":
            position = yield from _after_key(text, position)


def _after_space(text: str, position: int) -> int:
    found = _spaces.match(text, position)
    assert found is not None
    return found.end()


def _after_text(text: str, start: int) -> Generator[None, None, int]:
    position = start
    while True:
        part = _part.match(text, position)
        assert part is not None
        position = part.end()
        if text[position : position + 1] == '"':
            return position + 1
        if part.start() == position:
            raise JSONDecodeError("Unterminated string, or an invalid character", text, position)
        yield


def _after_key(text: str, position: int) -> Generator[None, None, int]:
    position = _after_space(text, position)
    if text[position : position + 1] != '"':
        raise JSONDecodeError("Expecting property name enclosed in double quotes", text, position)
    position = yield from _after_text(text, position + 1)
    position = _after_space(text, position)
    if text[position : position + 1] != ":":
        raise JSONDecodeError("Expecting ':' delimiter", text, position)
    return position + 1
