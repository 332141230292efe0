"""Keywords that are nearly right."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

T = TypeVar("T")


def suggesting(kind: type[T]) -> type[T]:
    """Have the class, and its own public methods, name the keyword that was meant where they are
    given one that they do not have."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and (name == "__init__" or not name.startswith("_")):
            setattr(kind, name, _checked(method))
    return kind


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    known = list(inspect.signature(method).parameters)[1:]

    def check(self: object, given: Mapping[str, Any]) -> None:
        for name in given:
            if name not in known:
                # Another runner's `execution_timeout` is the `timeout` here.
                meant = [each for each in known if name.endswith(f"_{each}")]
                meant = meant or get_close_matches(name, known, 1)
                hint = f": did you mean {meant[0]!r}?" if meant else "."
                is_init = method.__name__ == "__init__"
                whose = type(self).__name__ if is_init else method.__name__
                raise TypeError(f"{whose}() has no keyword argument {name!r}{hint}")

    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def awaited(self: Any, *args: Any, **kwargs: Any) -> Any:
            check(self, kwargs)
            return await method(self, *args, **kwargs)

        return awaited

    @wraps(method)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        check(self, kwargs)
        return method(self, *args, **kwargs)

    return called
