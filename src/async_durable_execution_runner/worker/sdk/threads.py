"""A handler's threads know to which invocation they belong: each begins in its starter's context.

The official SDK runs a handler, and every branch of a map or parallel, on threads that it starts.
A thread's context is empty at first, but the runner keeps in the context whose output and whose
effects these are, and which replay is watched.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache, partial

from .replay import in_own_thread, is_handlers

_inherits: ContextVar[bool] = ContextVar("inherits", default=False)


@contextmanager
def inheriting() -> Iterator[None]:
    """Have threads that are started inside of the block inherit its context.

    Threads that such a thread starts inherit the context too.
    """
    _install()
    token = _inherits.set(True)
    try:
        yield
    finally:
        _inherits.reset(token)


@cache
def _install() -> None:
    start = threading.Thread.start

    def start_in_context(self: threading.Thread) -> None:
        if _inherits.get():
            context = copy_context()
            if is_handlers(sys._getframe(1)):
                context.run(in_own_thread.set, True)
            self.run = partial(context.run, self.run)  # type: ignore[method-assign]
        start(self)

    threading.Thread.start = start_in_context  # type: ignore[method-assign]
