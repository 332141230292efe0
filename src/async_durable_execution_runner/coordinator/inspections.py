"""Stacks that worker hosts are asked for: who waits for which, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from .runs import Lease
from .workers import Stacks

#: Seconds that a host has to answer; it gives the worker a little less.
_PATIENCE = 1.5


class Inspections:
    """Those that are under way, by worker and request id: whoever else asks meanwhile gets the
    same."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], asyncio.Future[Stacks]] = {}

    def ask(self, lease: Lease) -> asyncio.Future[Stacks] | None:
        """Done soon, whatever becomes of the worker and its host. None where nobody can be
        asked: an inline worker has no host."""
        host = lease.worker.host
        if host is None:
            return None
        key = lease.worker.id, lease.job.request_id
        if (asked := self._asked.get(key)) is not None:
            return asked
        loop = asyncio.get_running_loop()
        asked = self._asked[key] = loop.create_future()
        loop.call_later(_PATIENCE, self._give_up, *key, asked)
        host.take_stacks(*key)
        return asked

    async def take(self, leases: Iterable[Lease]) -> None:
        """Have the stacks of those that can be asked noted on their leases."""
        asked = [(lease, self.ask(lease)) for lease in leases]
        for lease, stacks in asked:
            if stacks is not None:
                # Others may wait for the same.
                lease.note(await asyncio.shield(stacks))

    def answered(self, worker_id: str, request_id: str, stacks: Stacks) -> None:
        """What a host says. Nobody may have asked, or be waiting any more."""
        asked = self._asked.pop((worker_id, request_id), None)
        if asked is not None and not asked.done():
            asked.set_result(stacks)

    def _give_up(self, worker_id: str, request_id: str, asked: asyncio.Future[Stacks]) -> None:
        if self._asked.get((worker_id, request_id)) is asked:
            self.answered(worker_id, request_id, _SILENT)


_SILENT = Stacks((), "unknown: its worker host did not say what it was doing")
