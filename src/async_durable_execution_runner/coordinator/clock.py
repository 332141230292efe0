"""Virtual time: a clock for each family of executions (a root and all that it invokes in a chain).

A family shares its clock because its members' timers race with each other: a parent's
one-hour wait must end before its child's two-hour one. Other families are never moved.
"""

from __future__ import annotations

import time


def real_ms() -> int:
    return int(time.time() * 1000)


class VirtualClock:
    """Real time plus an offset that only ever grows. Milliseconds since the epoch."""

    def __init__(self, epoch_ms: int | None = None) -> None:
        self._monotonic = time.monotonic()
        self._epoch_ms = real_ms() if epoch_ms is None else epoch_ms
        self._skipped_ms = 0

    def now(self) -> int:
        elapsed = time.monotonic() - self._monotonic
        return self._epoch_ms + int(elapsed * 1000) + self._skipped_ms

    def jump(self, to_ms: int) -> None:
        """Stand at `to_ms`, if that is not yet past."""
        self._skipped_ms += max(0, to_ms - self.now())
