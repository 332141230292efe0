"""`Rounds`: requests of many streams are answered one right after the other.

Between two messages gRPC and the kernel run so much code of their own that the processor's caches
have nothing left of ours, and a checkpoint alone takes twice the time that it takes after another.
So all requests that have come together are read before the first is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Rounds(Generic[Request, Answer]):
    def __init__(self, act: Callable[[Request], Answer]) -> None:
        """`act` answers one request; it does not wait for anything."""
        self._act = act
        self._loop = asyncio.get_running_loop()
        self._next: list[tuple[Request, asyncio.Future[Answer]]] = []
        self._last_asker = 0

    async def answer(self, request: Request, asker: int) -> Answer:
        """Answer the request in the next round, after those that have come before it. It is
        answered at once where `asker`, the number of a stream, was the last to ask, as there are no
        others then."""
        alone = asker == self._last_asker and not self._next
        self._last_asker = asker
        if alone:
            return self._act(request)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        if not self._next:
            self._loop.call_soon(self._round)
        self._next.append((request, answer))
        return await answer

    def _round(self) -> None:
        asked, self._next = self._next, []
        for request, answer in asked:
            # The request of a stream that has ended meanwhile has never come.
            if answer.cancelled():
                continue
            try:
                answer.set_result(self._act(request))
            except Exception as error:
                answer.set_exception(error)
