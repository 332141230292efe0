"""Something that a handler calls, and that tests fake."""

from __future__ import annotations


def charge(amount: int) -> str:
    raise ConnectionError(f"Nobody is there to charge {amount}.")
