"""Keywords that are nearly right."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import ParamSpec

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

P = ParamSpec("P")


def suggesting(init: Callable[P, None]) -> Callable[P, None]:
    """Have `init` name the keyword that was meant where it is given one that it does not have."""
    known = list(inspect.signature(init).parameters)

    @wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        for name in kwargs:
            if name not in known:
                meant = get_close_matches(name, known, 1)
                hint = f": did you mean {meant[0]!r}?" if meant else "."
                raise TypeError(
                    f"{type(args[0]).__name__}() has no keyword argument {name!r}{hint}"
                )
        init(*args, **kwargs)

    return checked
