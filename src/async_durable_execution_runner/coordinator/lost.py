"""Remembers the worker hosts that went away though nobody had told them to, for those who look."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from .workers import ConnectedHost

#: So many are remembered, and for so many seconds.
_MOST, _SECONDS = 100, 3600.0


@dataclass(frozen=True, slots=True)
class LostHost:
    host: ConnectedHost
    #: How many workers it had.
    workers: int
    #: When it was lost, by `time.monotonic`.
    at: float


class LostHosts:
    def __init__(self) -> None:
        self._hosts: deque[LostHost] = deque(maxlen=_MOST)

    def add(self, host: ConnectedHost) -> None:
        """Remember a host that still has its workers."""
        self._hosts.append(LostHost(host, len(host.workers), time.monotonic()))

    def replaced_by(self, host: ConnectedHost) -> None:
        """Forget the host that has joined again as `host`, or else one of the same name."""
        name = host.labels.get("name")
        alike = [each for each in self._hosts if each.host.labels.get("name") == name]
        if alike:
            self._hosts.remove(min(alike, key=lambda each: each.host.pid != host.pid))

    def recent(self) -> list[LostHost]:
        """Return those that are worth a look, the last at the end."""
        return [each for each in self._hosts if each.at > time.monotonic() - _SECONDS]
