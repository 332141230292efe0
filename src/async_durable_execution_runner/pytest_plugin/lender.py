"""One cluster for a whole session of pytest-xdist: the controller owns it, and lends it to the
workers over execnet, on a channel to each that goes with its `workerinput`.

The cluster starts when the first test of any worker needs it.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

#: Where a worker finds its channel among the controller's inputs.
KEY = "durable_lender"
#: Seconds that the controller may take to answer; the start of a coordinator is the longest.
_PATIENCE = 60.0


class Lender:
    """The controller's side."""

    def __init__(self, workers: int | None) -> None:
        """`workers` bounds the worker processes of the session; by default there is one for each
        processor, or more where a test asks for more."""
        self._workers = workers
        self._questions: SimpleQueue[tuple[Any, int, str, Any]] = SimpleQueue()
        self._cluster: Any = None
        #: The functions that run inline in a worker, by the worker's channel.
        self._inline: dict[Any, list[str]] = {}
        #: What workers were waiting for when Ctrl-C has ended them: the worker, its test, a note.
        self.interrupted: list[tuple[str, str, str]] = []
        self._answering: threading.Thread | None = None

    def lend_to(self, node: Any) -> None:
        """Give a worker, as yet to be started, the channel to ask on. One with a Python of its own,
        or on another machine, has a cluster of its own too."""
        spec = node.gateway.spec
        if not spec.popen or spec.python or spec.via:
            return
        channel = node.gateway.newchannel()
        node.workerinput[KEY] = channel
        worker = node.gateway.id
        channel.setcallback(lambda asked: self._take(worker, channel, *asked))

    def inline_in(self, node: Any) -> list[str]:
        """The functions that run inline in a worker, or did when the worker died."""
        return self._inline.get(node.workerinput.get(KEY), [])

    def _take(self, worker: str, channel: Any, number: int, question: str, argument: Any) -> None:
        # This thread is the one that receives everything from the worker.
        if question == "interrupted":
            self.interrupted.append((worker, *argument))
            return
        self._questions.put((channel, number, question, argument))
        if self._answering is None:
            self._answering = threading.Thread(
                target=self._answer_all, name="durable-lender", daemon=True
            )
            self._answering.start()

    def _answer_all(self) -> None:
        from ..errors import RunnerError

        while True:
            channel, number, question, argument = self._questions.get()
            try:
                answer = number, "", self._answer(channel, question, argument)
            except RunnerError as error:
                answer = number, type(error).__name__, str(error)
            try:
                channel.send(answer)
            except OSError:
                # The worker is gone.
                continue

    def _answer(self, channel: Any, question: str, argument: Any) -> Any:
        from ..client.cluster import own_cluster

        match question:
            case "cluster":
                least = self._workers or os.cpu_count() or 1
                self._cluster = cluster = own_cluster(least_slots=least)
                known = {key: value for key, value in cluster.environment.items() if _plain(value)}
                return cluster.address, cluster.token, known
            case "inline":
                self._inline[channel] = argument
                return None
            case "slots":
                self._cluster.ensure_slots(min(argument, self._workers or argument))
                return None
            case _:
                cluster = self._cluster
                if cluster.address != argument:
                    return "The coordinator has ended, and another has taken its place.", False
                return cluster.obituary(), cluster.has_host_trouble


def _plain(value: str) -> bool:
    """Whether execnet can send it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class Borrower:
    """A worker's side."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._number = 0

    def tell_of_interrupt(self, test: str, note: str) -> None:
        """Have the controller show what was waited for when Ctrl-C has ended this worker."""
        # The controller may have gone before.
        with suppress(OSError):
            self._channel.send((0, "interrupted", (test, note)))

    def ask(self, question: str, argument: Any) -> Any:
        """Ask the controller; raises the error that it answers with."""
        from .. import errors

        with self._lock:
            self._number += 1
            self._channel.send((self._number, question, argument))
            number = 0
            try:
                # Ctrl-C or pytest-timeout may have ended the wait for the answer before.
                while number != self._number:
                    number, failed, answer = self._channel.receive(_PATIENCE)
            except self._channel.TimeoutError:
                raise errors.CoordinatorUnavailable(
                    f"pytest-xdist's controller, which starts the coordinator, did not answer in "
                    f"{_PATIENCE:g} s."
                ) from None
        if failed:
            raise getattr(errors, failed)(answer)
        return answer
