"""One cluster for a whole session of pytest-xdist: the controller owns it, and lends it to the
workers over execnet, on a channel to each that goes with its `workerinput`.

The cluster starts when the first test of any worker needs it.
"""

from __future__ import annotations

import threading
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
        self._questions: SimpleQueue[tuple[Any, str, Any]] = SimpleQueue()
        self._cluster: Any = None
        #: The functions that run inline in a worker, by the worker's channel.
        self._inline: dict[Any, list[str]] = {}
        self._answering: threading.Thread | None = None

    def lend_to(self, node: Any) -> None:
        """Give a worker, as yet to be started, the channel to ask on."""
        channel = node.gateway.newchannel()
        node.workerinput[KEY] = channel
        channel.setcallback(lambda asked: self._take(channel, *asked))

    def inline_in(self, node: Any) -> list[str]:
        """The functions that run inline in a worker, or did when the worker died."""
        return self._inline.get(node.workerinput[KEY], [])

    def _take(self, channel: Any, question: str, argument: Any) -> None:
        # This thread is the one that receives everything from the worker.
        self._questions.put((channel, question, argument))
        if self._answering is None:
            self._answering = threading.Thread(
                target=self._answer_all, name="durable-lender", daemon=True
            )
            self._answering.start()

    def _answer_all(self) -> None:
        from ..errors import RunnerError

        while True:
            channel, question, argument = self._questions.get()
            try:
                answer = "", self._answer(channel, question, argument)
            except RunnerError as error:
                answer = type(error).__name__, str(error)
            try:
                channel.send(answer)
            except OSError:
                # The worker is gone.
                continue

    def _answer(self, channel: Any, question: str, argument: Any) -> Any:
        from ..client.cluster import own_cluster

        match question:
            case "cluster":
                self._cluster = cluster = own_cluster(least_slots=self._workers or 1)
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

    def ask(self, question: str, argument: Any) -> Any:
        """Ask the controller; raises the error that it answers with."""
        from .. import errors

        with self._lock:
            self._channel.send((question, argument))
            try:
                failed, answer = self._channel.receive(_PATIENCE)
            except self._channel.TimeoutError:
                raise errors.CoordinatorUnavailable(
                    f"pytest-xdist's controller, which starts the coordinator, did not answer in "
                    f"{_PATIENCE:g} s."
                ) from None
        if failed:
            raise getattr(errors, failed)(answer)
        return answer
