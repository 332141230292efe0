"""Awaiting an answer without going to sleep.

Where an answer takes a tenth of a millisecond, waking up for it takes as long again: the processor
halts, and in a virtual machine a halt is a trap. So the event loop polls for a while first, unless
somebody else wants the processor.
"""

from __future__ import annotations

import asyncio
import os
import time

#: Seconds. A coordinator answers in less, and a handler's next step mostly comes in less.
_PATIENCE = 400e-6
#: Polls for one message at most, where a test has stopped the clock.
_MOST = 300
#: Seconds within which the processor is back if nobody else wants it.
_NOBODY = 10e-6
#: At the rarest, one message in this many is polled for.
_RAREST = 64


class BusyPoll:
    """Of one connection: polls after a message until the answer is there. While that is in vain,
    ever fewer messages are polled for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._until: float | None = None
        self._polls = 0
        #: Whether a poll is on its way.
        self._polling = False
        #: Messages that pass before one is polled for again, and those still to come of them.
        self._passing = 0
        self._to_pass = 0

    def begin(self) -> None:
        """A message was written."""
        if self._to_pass:
            self._to_pass -= 1
            return
        self._until = time.monotonic() + _PATIENCE
        self._polls = 0
        if not self._polling:
            self._go_on()

    def end(self) -> None:
        """Something came."""
        if self._until is not None:
            self._until = None
            self._passing = 0

    def _go_on(self) -> None:
        # A loop with something to call does not wait for input, it looks for it.
        self._polling = True
        self._loop.call_soon(self._poll)

    def _poll(self) -> None:
        self._polling = False
        if self._until is None:
            return
        now = time.monotonic()
        if now < self._until and self._polls < _MOST:
            self._polls += 1
            # Whoever else could run on this processor does, the one who is to answer above all.
            os.sched_yield()
            if time.monotonic() - now < _NOBODY:
                self._go_on()
                return
        self._until = None
        self._to_pass = self._passing = min(2 * self._passing + 1, _RAREST - 1)
