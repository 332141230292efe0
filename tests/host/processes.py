"""Watching real processes and making them busy."""

from __future__ import annotations

import asyncio
import json
import os
import select
from pathlib import Path
from typing import Any

from worker.coordinator import Coordinator, Worker


def children(pid: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


class Watch:
    """Processes that are to be gone soon; opened before, so that no pid is mistaken."""

    def __init__(self, *pids: int) -> None:
        self._fds = {os.pidfd_open(pid): pid for pid in pids}

    async def gone(self, seconds: float = 2.0) -> None:
        await asyncio.to_thread(self._wait, seconds)

    def _wait(self, seconds: float) -> None:
        for fd, pid in self._fds.items():
            readable, _, _ = select.select([fd], [], [], seconds)
            os.close(fd)
            assert readable, f"process {pid} is still there after {seconds} s"


async def send_blocking(
    coordinator: Coordinator, worker: Worker, handler: Any, directory: Path
) -> list[int]:
    """Invoke a handler that says on a FIFO which processes it has started; their pids."""
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    coordinator.send(worker, handler, payload=json.dumps({"fifo": str(fifo)}))
    async with asyncio.timeout(10):
        said = await asyncio.to_thread(fifo.read_text)
    return [int(pid) for pid in said.split()]
