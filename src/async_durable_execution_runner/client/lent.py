"""A cluster that another process owns: in a session of pytest-xdist, all its workers use the
controller's.

The plugin of pytest sets `ask` before anything of the runner is needed, so little is imported here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import RunnerError

if TYPE_CHECKING:
    from ..security.tls import Tls

#: The environment variable with the address of a standing coordinator, for the runners that name
#: none.
COORDINATOR = "DURABLE_RUNNER_COORDINATOR"
#: Asks the owner: the question and its argument. None where this process has a cluster of its own.
ask: Callable[[str, Any], Any] | None = None


def _after_fork() -> None:
    # The owner's answers would reach the process that was forked, as answers to its own questions.
    global ask
    ask = None


os.register_at_fork(after_in_child=_after_fork)


class LentCluster:
    """A coordinator and worker hosts that live and die with another process."""

    #: Its processes are out of other machines' reach.
    tls: ClassVar[Tls | None] = None

    def __init__(
        self, ask: Callable[[str, Any], Any], address: str, token: str, environment: dict[str, str]
    ) -> None:
        """Make what stands for the cluster here.

        Args:
            ask: Asks the owner: the question and its argument.
            address: The coordinator's address as gRPC wants it.
            token: What the coordinator knows its clients by.
            environment: What the processes of the cluster began with.
        """
        self._ask = ask
        self.address = address
        self.token = token
        self.environment = environment
        self.has_host_trouble = False
        self._inline: list[str] = []
        #: Functions to call when this process ends: they close connections that would complain.
        self.on_close: list[Callable[[], object]] = []

    def ensure_slots(self, workers: int) -> None:
        """Have hosts that can run `workers` worker processes at once, if the owner lets them."""
        self._ask("slots", workers)

    def begin_inline(self, function: str) -> None:
        """Tell the owner that a function runs in this process, which may die of it."""
        self._inline.append(function)
        self._ask("inline", self._inline)

    def end_inline(self, functions: Collection[str]) -> None:
        for function in functions:
            self._inline.remove(function)
        # The owner may have gone before.
        if functions:
            with suppress(OSError, EOFError, RunnerError):
                self._ask("inline", self._inline)

    def obituary(self) -> str | None:
        """What is known of the coordinator's end, in a sentence; None if it is alive."""
        text: str | None
        text, self.has_host_trouble = self._ask("obituary", self.address)
        return text

    def close(self) -> None:
        while self.on_close:
            self.on_close.pop()()

    def abandon(self) -> None:
        """Let go of the cluster, in a fork of the process."""
        self.on_close.clear()
