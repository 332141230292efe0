"""Waiting for the end of processes that are not our children, without polling."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path


class Watched:
    """A process by pid. Made while it lives, so that a reused pid cannot deceive."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    @property
    def command(self) -> bytes:
        with open(f"/proc/{self.pid}/cmdline", "rb") as file:
            return file.read()

    def gone(self, within: float) -> bool:
        """Whether it has ended, after at most `within` seconds."""
        return bool(select.select([self._fd], [], [], within)[0])

    def close(self) -> None:
        os.close(self._fd)


def all_gone(processes: list[Watched], within: float) -> bool:
    deadline = time.monotonic() + within
    return all(each.gone(max(0.0, deadline - time.monotonic())) for each in processes)


def children(pid: int) -> list[Watched]:
    """Of a process that lives."""
    threads = Path("/proc", str(pid), "task").iterdir()
    return [Watched(int(c)) for each in threads for c in (each / "children").read_text().split()]
