"""Handlers that run in the test's own process, and the workers that run them there.

The coordinator asks worker hosts what a stuck process does; what the threads of this process do
can only be seen here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..results.records import ExecutionRecord

if TYPE_CHECKING:
    from ..client.cluster import AnyCluster
    from ..client.transport import Transport
    from ..worker.inline import InlineWorker
    from ..worker.setup import Setup
    from ..worker.stacks import Report

#: Seconds for a handler to return when its runner is closed.
_STOP_TIMEOUT = 1.0


class InlineWorkers:
    def __init__(self) -> None:
        self._handlers: dict[str, Callable[..., Any]] = {}
        self._workers: list[InlineWorker] = []
        self._set_up: list[Setup] = []
        self._setups = ExitStack()

    def add(self, name: str, handler: Callable[..., Any]) -> str:
        """Keep `handler`, and return the key by which workers will find it."""
        key = f"{len(self._handlers)}:{name}"
        self._handlers[key] = handler
        return key

    def set_up(self, worker_setup: Setup) -> None:
        """Run the setup in this process, unless that was done; `stop` ends what it has begun."""
        from ..worker import setup

        if worker_setup not in self._set_up:
            setup.enter(worker_setup, self._setups)
            self._set_up.append(worker_setup)

    def ensure(self, count: int, cluster: AnyCluster, workspace_id: str) -> None:
        """Have at least `count` workers."""
        from ..worker.connection import Connection
        from ..worker.inline import InlineWorker

        connection = Connection(cluster.address, cluster.token, tls=cluster.tls)
        while len(self._workers) < count:
            worker = InlineWorker(connection, workspace_id, self._handlers)
            self._workers.append(worker)
            worker.start()

    def stop(self) -> None:
        workers, self._workers[:] = self._workers[:], []
        # All workers are told to stop before any is waited for.
        for timeout in (0.0, _STOP_TIMEOUT):
            for worker in workers:
                worker.stop(timeout)
        self._set_up.clear()
        self._setups.close()

    async def stacks(self, waiting_for: str, transport: Transport) -> dict[str, Report]:
        """What the workers that are named in `waiting_for` are doing, by their ids."""
        named = [each for each in self._workers if each.worker_id in waiting_for]
        return {each.worker_id: await transport.blocking(each.stacks) for each in named}

    async def look(self, record: ExecutionRecord, transport: Transport) -> ExecutionRecord:
        """The record, with what the workers are doing that hold its execution up."""
        reports = await self.stacks(record.waiting_for, transport)
        verdicts = [f"; {each.verdict}" for each in reports.values()]
        written = {each.worker_id: tuple(each.written()) for each in self._workers}
        invocations = [
            replace(
                each,
                stacks=reports[each.worker_id].dumps,
                verdict=reports[each.worker_id].verdict,
                output=(*each.output, *written[each.worker_id]),
            )
            if not each.outcome and each.worker_id in reports
            else each
            for each in record.invocations
        ]
        waiting_for = "".join([record.waiting_for, *verdicts])
        return replace(record, waiting_for=waiting_for, invocations=invocations)
