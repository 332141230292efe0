"""What a test suite wants of every runner of the process, whoever opens it.

The plugin of pytest sets this before anything of the runner is needed, so nothing of that is
imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Listener(Protocol):
    """Hears of what runners do. It may be called on any thread."""

    def began(self, engine: Any, execution: Any) -> None:
        """`engine` has started an execution, given by its ARN or its named start, and nobody waits
        for it."""

    def waits(self, engine: Any, waited_for: Callable[[], Any]) -> None:
        """`engine` waits for an execution, which `waited_for` returns for its `look_at`."""

    def left(self, waited_for: Callable[[], Any]) -> None:
        """That wait has ended. It has not where the event loop was left below a coroutine."""

    def failing(self, engine: Any) -> None:
        """An error is about to close the runner of `engine`."""

    def ran(self, engine: Any, start: Any) -> None:
        """`engine` has run an execution to its end, from `start`."""

    def shut_out(self, address: str, error: Exception) -> None:
        """The coordinator at this address, which all runners share that name none, has let none
        in."""

    def saw(self, found: Any) -> None:
        """A runner has found this: an execution's result, as it is by now, or a crash report."""


#: Whether each execution is replayed after each of its checkpoints, where its test does not say.
replays = False
listener: Listener | None = None
#: Who debugs the handlers, as a `client.debugging.User`; None where nobody can.
debugger: Any = None


def began(engine: Any, execution: Any) -> None:
    if listener is not None:
        listener.began(engine, execution)


@contextmanager
def waiting(engine: Any, waited_for: Callable[[], Any]) -> Iterator[None]:
    if listener is None:
        yield
        return
    listener.waits(engine, waited_for)
    try:
        yield
    finally:
        listener.left(waited_for)


def failing(engine: Any) -> None:
    if listener is not None:
        listener.failing(engine)


def shut_out(address: str, error: Exception) -> None:
    if listener is not None:
        listener.shut_out(address, error)


def saw(found: Any) -> None:
    if listener is not None:
        listener.saw(found)


def ran(engine: Any, start: Any) -> None:
    if listener is not None:
        listener.ran(engine, start)
