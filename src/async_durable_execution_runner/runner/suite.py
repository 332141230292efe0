"""What a test suite wants of every runner of the process, whoever opens it.

The plugin of pytest sets this before anything of the runner is needed, so nothing is imported here.
"""

from __future__ import annotations

from typing import Any, Protocol


class Listener(Protocol):
    """Hears of what runners do. It may be called on any thread."""

    def began(self, engine: Any, execution_arn: str) -> None:
        """`engine` has started an execution, and does not wait for it."""

    def failing(self, engine: Any) -> None:
        """An error is about to close the runner of `engine`."""

    def ran(self, engine: Any, start: Any) -> None:
        """`engine` has run an execution to its end, from `start`."""

    def saw(self, found: Any) -> None:
        """A runner has found this: an execution's result, as it is by now, or a crash report."""


#: Whether each execution is replayed after each of its checkpoints, where its test does not say.
replays = False
listener: Listener | None = None


def began(engine: Any, execution_arn: str) -> None:
    if listener is not None:
        listener.began(engine, execution_arn)


def failing(engine: Any) -> None:
    if listener is not None:
        listener.failing(engine)


def saw(found: Any) -> None:
    if listener is not None:
        listener.saw(found)


def ran(engine: Any, start: Any) -> None:
    if listener is not None:
        listener.ran(engine, start)
