"""How far a batch of executions has come, on standard error if that is a terminal."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from .core.model import ExecutionStatus


class Progress:
    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._total = total
        self._done = 0
        self._failed = 0
        self._lock = threading.Lock()

    def done(self, status: ExecutionStatus) -> None:
        with self._lock:
            self._done += 1
            self._failed += status is not ExecutionStatus.SUCCEEDED
            if self._shown:
                failed = f", {self._failed} not succeeded" if self._failed else ""
                self._stream.write(f"\r{self._done}/{self._total} executions{failed}\x1b[K")
                self._stream.flush()

    def close(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
