"""Virtual time: a clock for each family of executions (a root and all that it invokes in a chain).

A family shares its clock because its members' timers race with each other: a parent's
wait of one hour must end before its child's wait of two hours. A family's clock never moves the
clocks of other families.
"""

from __future__ import annotations

import time


def real_ms() -> int:
    """Return the real time in Unix milliseconds."""
    return int(time.time() * 1000)


class VirtualClock:
    """A clock that shows real time plus an offset that only ever grows, in Unix milliseconds."""

    def __init__(self, epoch_ms: int | None = None) -> None:
        self._monotonic = time.monotonic()
        self._epoch_ms = real_ms() if epoch_ms is None else epoch_ms
        #: How far the clock was ahead when it was made, less the time for which it stood still.
        self._ahead_ms = 0 if epoch_ms is None else epoch_ms - real_ms()
        self._skipped_ms = 0
        self._stops = 0
        self._stopped_at = 0.0

    def now(self) -> int:
        elapsed = (self._stopped_at if self._stops else time.monotonic()) - self._monotonic
        return self._epoch_ms + int(elapsed * 1000) + self._skipped_ms

    def jump(self, to_ms: int) -> None:
        """Set the clock to `to_ms`, if that time is not yet past."""
        self._skipped_ms += max(0, to_ms - self.now())

    @property
    def ahead_ms(self) -> int:
        """How far this clock is ahead of the real time."""
        return self._ahead_ms + self._skipped_ms

    @property
    def stands_still(self) -> bool:
        return self._stops > 0

    def stop(self) -> None:
        """Let no time pass until `go` is called as often as this."""
        if not self._stops:
            self._stopped_at = time.monotonic()
        self._stops += 1

    def go(self) -> None:
        self._stops -= 1
        if not self._stops:
            stood = time.monotonic() - self._stopped_at
            self._monotonic += stood
            self._ahead_ms -= round(stood * 1000)
