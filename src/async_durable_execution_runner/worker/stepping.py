"""pdb, where its user is elsewhere. It is imported where a handler stops.

It stops by itself in the user's own code only: between two lines of a handler are the SDK and
asyncio. And it has coverage go on with its measuring, whose place as the thread's trace function
pdb takes.
"""

from __future__ import annotations

import functools
import io
import os
import pdb
import sys
import sysconfig
from collections.abc import Callable
from types import FrameType
from typing import Any

from . import OUR_FOLDERS, covered
from .debugging import Stop

_FOREIGN = (
    *OUR_FOLDERS,
    *(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib")),
    "<",
)
_INSTALLED = tuple(f"{os.sep}{name}-packages{os.sep}" for name in ("site", "dist"))


class Debugger(pdb.Pdb):
    def __init__(self, begin: Callable[[FrameType], Stop], frame: FrameType) -> None:
        """Make a debugger.

        Args:
            begin: Begins a stop at a frame.
            frame: The frame that has called `breakpoint()`.
        """
        console: Any = _Console(begin, frame)
        # Ctrl-C is for the process of the test.
        super().__init__(stdin=console, stdout=console, nosigint=True)
        self._console = console
        self._called_in = frame.f_code.co_filename
        self._coverage: Any = None

    def set_trace(self, frame: Any = None, **options: Any) -> None:
        # The frames that it has seen begin keep it, and it will see them end.
        self._coverage = covered.tracer()
        super().set_trace(frame, **options)

    def trace_dispatch(self, frame: FrameType, event: Any, arg: Any) -> Any:
        if self._coverage is None:
            return super().trace_dispatch(frame, event, arg)
        self._measure(frame, event, arg)
        local: Any = super().trace_dispatch(frame, event, arg)
        return local or self._measure

    def _measure(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self._coverage is not None:
            self._coverage(frame, event, arg)
            if event == "call":
                # It has taken its place back.
                sys.settrace(self.trace_dispatch)
        return self._measure

    def stop_here(self, frame: FrameType) -> bool:
        file = frame.f_code.co_filename
        return (file == self._called_in or not _is_foreign(file)) and super().stop_here(frame)

    def interaction(self, frame: Any, *args: Any) -> None:
        if frame is not None:
            self._console.frame = frame
        super().interaction(frame, *args)

    def set_continue(self) -> None:
        super().set_continue()
        if not self.breaks:
            self._give_back()
        self._console.end()

    def set_quit(self) -> None:
        super().set_quit()
        self._give_back()
        self._console.end(quits=True)

    def leave(self) -> None:
        """Trace nothing any more: the invocation is over."""
        sys.settrace(None)
        self._give_back()

    def _give_back(self) -> None:
        coverage, self._coverage = self._coverage, None
        if coverage is not None:
            coverage.start()


@functools.cache
def _is_foreign(file: str) -> bool:
    return file.startswith(_FOREIGN) or any(each in file for each in _INSTALLED)


class _Console(io.TextIOBase):
    """What pdb reads and writes."""

    def __init__(self, begin: Callable[[FrameType], Stop], frame: FrameType) -> None:
        self.frame = frame
        self._begin = begin
        self._output: list[str] = []
        self._stop: Stop | None = None

    def write(self, text: str) -> int:
        self._output.append(text)
        return len(text)

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]
        if self._stop is None:
            self._stop = self._begin(self.frame)
        return self._stop.read(self._take())

    def end(self, quits: bool = False) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop.close(self._take(), quits)

    def _take(self) -> str:
        text = "".join(self._output)
        self._output.clear()
        return text
