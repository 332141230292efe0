"""Text that every wire can carry, and JSON as its standard has it."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def utf8(text: str) -> str:
    """`text` with escapes for what UTF-8 cannot carry: half a surrogate pair, as the name of a
    file has it that is not UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def load_json(text: str | bytes) -> Any:
    """The value of a JSON document. `ValueError` or `RecursionError` for anything else, and for
    NaN and Infinity, which are Python's own."""
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
