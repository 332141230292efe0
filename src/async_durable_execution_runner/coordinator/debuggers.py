"""`Debuggers`: handlers that a debugger has stopped, and the users at these debuggers.

While a debugger has a handler, no time passes for the handler's execution, for its deadline and for
those who wait for its workspace. A user deals with one debugger at a time; others wait their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from ..rpc.v1 import debug_pb2 as pb
from .leases import Leases
from .runs import Lease
from .timekeeper import Timekeeper


class User:
    """Who debugs the handlers of one process's workspaces."""

    def __init__(self) -> None:
        #: Held by the stop that the user deals with.
        self.turn = asyncio.Lock()
        self._news: asyncio.Queue[pb.FollowResponse | None] = asyncio.Queue()
        self._gone = False
        self._asked: tuple[str, asyncio.Future[str]] | None = None

    def tell(self, news: pb.FollowResponse) -> None:
        self._news.put_nowait(news)

    async def ask(self, stop_id: str) -> str:
        """Return the line that the user types, or "" at the end of input."""
        if self._gone:
            return ""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked = stop_id, answer
        self.tell(pb.FollowResponse(stop_id=stop_id, reads=True))
        try:
            return await answer
        finally:
            self._asked = None

    def answer(self, stop_id: str, line: str) -> None:
        """Take the line that the user has typed, unless nobody waits for it any more."""
        if self._asked is not None and self._asked[0] == stop_id and not self._asked[1].done():
            self._asked[1].set_result(line)

    def close(self) -> None:
        """Answer nobody any more: the user's process is gone."""
        self._gone = True
        self._news.put_nowait(None)
        if self._asked is not None:
            self.answer(self._asked[0], "")

    async def __aiter__(self) -> AsyncIterator[pb.FollowResponse]:
        while (news := await self._news.get()) is not None:
            yield news


class Debuggers:
    def __init__(self, leases: Leases, timekeeper: Timekeeper) -> None:
        self._leases = leases
        self._timekeeper = timekeeper
        #: The users whose processes are there, by id.
        self.users: dict[str, User] = {}

    def user_of(self, lease: Lease) -> User | None:
        """Return who debugs the lease's handler; None where nobody can."""
        debugging = lease.subject.workspace.debugging
        return None if debugging is None else self.users.get(debugging.user_id)

    @contextmanager
    def standing_still(self, lease: Lease) -> Iterator[None]:
        """Let no time pass for the execution, the deadline and the callers in the block."""
        subject = lease.subject
        family, patience = subject.family, subject.workspace.patience
        self._leases.stop_deadline(lease)
        patience.stop()
        if family is not None:
            self._timekeeper.stop(family)
        try:
            yield
        finally:
            if family is not None:
                self._timekeeper.go(family)
            patience.go()
            self._leases.resume_deadline(lease)
