"""How far a batch of executions has come, on standard error if that is a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from ..core.model import ExecutionStatus
from ..results.records import ExecutionRecord


class Progress:
    def __init__(self, total: int, stream: TextIO | None = None, noun: str = "executions") -> None:
        self._noun = noun
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._total = total
        self._done = 0
        self._failed = 0

    def done(self, outcome: ExecutionRecord | Exception) -> None:
        self.count(
            failed=isinstance(outcome, Exception) or outcome.status is not ExecutionStatus.SUCCEEDED
        )

    def count(self, *, failed: bool) -> None:
        self._done += 1
        self._failed += failed
        if self._shown:
            bad = f", {self._failed} not succeeded" if self._failed else ""
            self._stream.write(f"\r{self._done}/{self._total} {self._noun}{bad}\x1b[K")
            self._stream.flush()

    def close(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
