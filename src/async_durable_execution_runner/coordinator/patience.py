"""`Patience`: the time that callers give a workspace's executions, of which none passes while a
debugger has a handler of the workspace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Patience:
    def __init__(self) -> None:
        self._stops = 0
        self._stopped_at = 0.0
        #: The seconds of earlier stops.
        self._stood_still = 0.0
        #: The time-outs under way, with the seconds that are left of each while it stands still.
        self._timeouts: dict[asyncio.Timeout, float] = {}

    def time(self) -> float:
        """Return the seconds of the event loop's clock, without those that stood still."""
        now = self._stopped_at if self._stops else asyncio.get_running_loop().time()
        return now - self._stood_still

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        """Raise `TimeoutError` where the block takes longer than `seconds`.

        Who gives no time at all has an answer at once.
        """
        async with asyncio.timeout(None if self._stops and seconds > 0 else seconds) as timeout:
            self._timeouts[timeout] = seconds
            try:
                yield
            finally:
                del self._timeouts[timeout]

    def stop(self) -> None:
        """Let no time pass until `go` is called as often as this."""
        self._stops += 1
        if self._stops > 1:
            return
        self._stopped_at = now = asyncio.get_running_loop().time()
        for timeout in self._timeouts:
            due = timeout.when()
            if due is not None and not timeout.expired():
                self._timeouts[timeout] = due - now
                timeout.reschedule(None)

    def go(self) -> None:
        self._stops -= 1
        if self._stops:
            return
        now = asyncio.get_running_loop().time()
        self._stood_still += now - self._stopped_at
        for timeout, left in self._timeouts.items():
            if not timeout.expired():
                timeout.reschedule(now + left)
