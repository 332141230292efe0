"""Text that every wire can carry and every terminal can show, and JSON as its standard has it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn


def utf8(text: str) -> str:
    """Return `text` with escapes for what UTF-8 cannot carry.

    UTF-8 cannot carry half a surrogate pair, as in the name of a file that is not UTF-8.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def not_unicode(value: Any, name: str) -> str:
    """Return the service's refusal of the first text in a JSON value that has half of a surrogate
    pair, which JSON can spell and no other wire can carry; "" where there is none."""
    if isinstance(value, str):
        return "" if utf8(value) == value else f"The value of {name} is not Unicode text."
    members: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list | tuple):
        members = ((name, each) for each in value)
    return next(filter(None, (not_unicode(each, name) for name, each in members)), "")


#: What a terminal obeys instead of showing it: control characters but for line breaks and tabs, and
#: what turns the direction of text. A carriage return before a line break is a part of that.
_OBEYED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)


def visible(text: str) -> str:
    """Return `text` with escapes ("\\x1b") for the characters that a terminal would obey, and for
    what UTF-8 cannot carry."""
    return utf8(_OBEYED.sub(lambda found: ascii(found[0])[1:-1], text))


def load_json(text: str | bytes, parse_int: Callable[[str], Any] = int) -> Any:
    """Return the value of a JSON document; `parse_int` makes the value of a whole number.

    Raises `ValueError` or `RecursionError` for anything else, and for NaN and Infinity, which only
    Python takes as JSON.
    """
    return json.loads(text, parse_int=parse_int, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
