"""`Inspections`: asks worker hosts for the stacks of workers, and waits for the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from .runs import Lease
from .workers import Stacks

#: Seconds that a host has to answer. It waits for little more than one of them for the worker, so
#: that it is the host that says what the worker does on a busy machine too.
_PATIENCE = 5.0


class Inspections:
    """The inspections that are under way, by worker and request id. Everybody who asks for one
    that is under way gets the same answer."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], asyncio.Future[Stacks]] = {}

    def ask(self, lease: Lease) -> asyncio.Future[Stacks] | None:
        """Ask for the stacks of the lease's worker. Return None for an inline worker, which has no
        host that could be asked.

        The future is done soon, whatever becomes of the worker and its host.
        """
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
        """Note the stacks on each of the leases whose workers can be inspected."""
        asked = [(lease, self.ask(lease)) for lease in leases]
        for lease, stacks in asked:
            if stacks is not None:
                # Others may wait for the same future.
                lease.note(await asyncio.shield(stacks))

    def answered(self, worker_id: str, request_id: str, stacks: Stacks) -> None:
        """Take a host's answer. It is possible that nobody asked, or that nobody waits any more."""
        asked = self._asked.pop((worker_id, request_id), None)
        if asked is not None and not asked.done():
            asked.set_result(stacks)

    def _give_up(self, worker_id: str, request_id: str, asked: asyncio.Future[Stacks]) -> None:
        if self._asked.get((worker_id, request_id)) is asked:
            self.answered(worker_id, request_id, _SILENT)


_SILENT = Stacks((), "unknown: its worker host did not say what it was doing")
