"""How coroutines that never suspend are run to their end without an event loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

T = TypeVar("T")


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine that awaits nothing but calls that block."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    coroutine.close()
    raise RuntimeError("A blocking call was about to suspend.")
