"""Text that every wire can carry, and JSON as its standard has it."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def utf8(text: str) -> str:
    """Return `text` with escapes for what UTF-8 cannot carry.

    UTF-8 cannot carry half a surrogate pair, as in the name of a file that is not UTF-8.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def load_json(text: str | bytes) -> Any:
    """Return the value of a JSON document.

    Raises `ValueError` or `RecursionError` for anything else, and for NaN and Infinity, which only
    Python takes as JSON.
    """
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
