"""`Rounds`: checkpoints of many streams are taken one right after the other.

Between two messages gRPC and the kernel run so much code of their own that the processor's caches
have nothing left of ours, and a checkpoint alone takes twice the time that it takes after another.
So all requests that have come together are read before the first is taken, and the answers are
written when the last is. Nobody waits for an answer to be written, but for the next request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import grpc

from .calls import Context

_logger = logging.getLogger(__name__)

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Answers:
    """What is written on one stream, a message at a time, while the next request is waited for.

    A task for each would cost more than what it does.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        #: What writes, where that is not done, and what it waits for.
        self._writing: Coroutine[Any, Any, object] | None = None
        self._waits_for: asyncio.Future[Any]
        #: Whether a request of the stream is in the next round.
        self.asked = False
        self.ended = False

    def begin(self, message: object) -> None:
        """Begin to write a message. Nothing else may be on its way."""
        self._run(self._context.write(message))

    def fail(self, error: Exception) -> None:
        """Begin to end the stream, as there is no answer."""
        self._run(self._context.abort(grpc.StatusCode.INTERNAL, repr(error)))

    async def done(self) -> None:
        """Wait until nothing is asked or on its way; raise what made that fail."""
        if self.asked:
            # The round is the loop's next.
            await asyncio.sleep(0)
        while (writing := self._writing) is not None:
            if not self._waits_for.done():
                await asyncio.wait([self._waits_for])
            self._run(writing)

    def end(self) -> None:
        """Take note that the stream has ended: what is on its way does not matter any more."""
        self.ended = True
        if self._writing is not None:
            self._writing.close()
            # asyncio reports an error that nobody has asked for.
            self._waits_for.add_done_callback(lambda waits: waits.cancelled() or waits.exception())

    def _run(self, writing: Coroutine[Any, Any, object]) -> None:
        """Run what a task would run of it, up to where it waits."""
        self._writing = None
        try:
            self._waits_for = writing.send(None)
        except StopIteration:
            return
        # The task that awaits a future says so by this.
        self._waits_for._asyncio_future_blocking = False
        self._writing = writing


class Rounds(Generic[Request, Answer]):
    def __init__(self, act: Callable[[Request], Answer]) -> None:
        """`act` answers one request; it does not wait for anything."""
        self._act = act
        self._loop = asyncio.get_running_loop()
        self._next: list[tuple[Request, Answers]] = []
        self._last: Answers | None = None

    def take(self, request: Request, answers: Answers) -> None:
        """Answer the request in the next round, after those that have come before it. Where the
        stream was the last to ask, there are no others, and it is answered at once."""
        if answers is self._last and not self._next:
            answers.begin(self._act(request))
            return
        self._last = answers
        if not self._next:
            self._loop.call_soon(self._round)
        answers.asked = True
        self._next.append((request, answers))

    def _round(self) -> None:
        taken, self._next = self._next, []
        given: list[tuple[Answers, Answer | Exception]] = []
        for request, answers in taken:
            answers.asked = False
            # The request of a stream that has ended meanwhile has never come.
            if not answers.ended:
                given.append((answers, self._answer(request)))
        for answers, answer in given:
            try:
                if isinstance(answer, Exception):
                    answers.fail(answer)
                else:
                    answers.begin(answer)
            except Exception:
                # The stream has just ended, as whoever reads from it is about to learn.
                _logger.debug("no answer could be written", exc_info=True)

    def _answer(self, request: Request) -> Answer | Exception:
        try:
            return self._act(request)
        except Exception as error:
            _logger.exception("a checkpoint could not be taken")
            return error
