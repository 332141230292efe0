"""Passes on what handlers write, at the end of each invocation, to everybody who follows it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from ..core.model import OutputLine

#: The bytes that may wait for a follower that does not keep up.
_MOST_BYTES = 64 * 1024 * 1024
#: The bytes that a line takes beside its text.
_LINE_BYTES = 100


@dataclass(frozen=True, slots=True)
class Written:
    """The lines that one invocation wrote, which ended at `time_ms` (real Unix milliseconds).

    `execution_arn` is empty for a plain function.
    """

    function_name: str
    execution_arn: str
    request_id: str
    time_ms: int
    lines: Sequence[OutputLine]
    #: The number of earlier lines, of other invocations, that were not fetched in time.
    dropped: int = 0

    @property
    def size(self) -> int:
        return sum(len(line.text) + _LINE_BYTES for line in self.lines)


class Follower:
    """An iterable of what is written until `close` is called."""

    def __init__(self) -> None:
        self._waiting: deque[Written] = deque()
        self._bytes = 0
        self._dropped = 0
        self._closed = False
        self._news = asyncio.Event()

    def tell(self, written: Written) -> None:
        """Keep `written` for the follower, or drop it where too much waits already."""
        if self._waiting and self._bytes + written.size > _MOST_BYTES:
            self._dropped += len(written.lines)
            return
        self._waiting.append(replace(written, dropped=self._dropped))
        self._dropped = 0
        self._bytes += written.size
        self._news.set()

    def close(self) -> None:
        """End the iteration after what has been told already."""
        self._closed = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Written]:
        while True:
            while self._waiting:
                written = self._waiting.popleft()
                self._bytes -= written.size
                yield written
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()
