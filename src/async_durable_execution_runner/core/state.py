"""`State`: the operations, history and timers of one execution, into which turns are committed.

A state knows nothing of what a change means.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from . import events as ev
from . import limits
from .model import ErrorObject, HistoryEvent, Operation, OperationStatus, OperationType
from .turn import Timer, Turn

#: The operations, by type and status, that somebody or something other than the handler will end.
_ENDED_BY_OTHERS = {
    (OperationType.WAIT, OperationStatus.STARTED),
    (OperationType.CALLBACK, OperationStatus.STARTED),
    (OperationType.CHAINED_INVOKE, OperationStatus.STARTED),
    (OperationType.STEP, OperationStatus.PENDING),
}
_NO_TARGETS: Mapping[str, ev.ChainedTarget | ErrorObject] = {}


class State:
    def __init__(self, arn: str, sizes: limits.Limits) -> None:
        self._arn = arn
        self._limits = sizes
        self.operations: dict[str, Operation] = {}
        self.history: list[HistoryEvent] = []
        self._order: list[str] = []
        #: The operations that changed since the invocation in progress was last told.
        self.unseen: dict[str, None] = {}
        #: The operations that somebody or something other than the handler will end.
        self.waiting: dict[str, None] = {}
        self.timers: dict[Timer, int] = {}
        #: The timer that is due first, with its due time.
        self.first_timer: tuple[Timer, int] | None = None
        self._due: list[tuple[int, int, Timer]] = []
        self._timer_count = 0
        #: The heartbeat time-outs of callbacks in seconds, by operation id.
        self.heartbeats: dict[str, int] = {}

    @property
    def last_ms(self) -> int:
        return self.history[-1].timestamp_ms if self.history else 0

    def turn(
        self, now_ms: int, targets: Mapping[str, ev.ChainedTarget | ErrorObject] = _NO_TARGETS
    ) -> Turn:
        return Turn(
            now_ms, self._arn, self.operations, len(self.history) + 1, targets, self._limits
        )

    def commit(self, turn: Turn) -> None:
        """Take over all that `turn` changed."""
        for operation in turn.operations.values():
            if operation.id not in self.operations:
                self._order.append(operation.id)
            self.operations[operation.id] = operation
            self.unseen[operation.id] = None
            if (operation.type, operation.status) in _ENDED_BY_OTHERS:
                self.waiting[operation.id] = None
            else:
                self.waiting.pop(operation.id, None)
        self.history += turn.events
        self.heartbeats |= turn.heartbeats
        for timer, due in turn.timers.items():
            if due is None:
                self.timers.pop(timer, None)
            else:
                self.timers[timer] = due
                self._timer_count += 1
                heapq.heappush(self._due, (due, self._timer_count, timer))
        if turn.timers:
            self.first_timer = self._find_first_timer()

    def _find_first_timer(self) -> tuple[Timer, int] | None:
        while self._due:
            due, _, timer = self._due[0]
            if self.timers.get(timer) == due:
                return timer, due
            heapq.heappop(self._due)
        return None

    def see_all(self) -> list[Operation]:
        """Return the operations that have not been told yet, and count them as told."""
        unseen = [self.operations[operation_id] for operation_id in self.unseen]
        self.unseen.clear()
        return unseen

    def page(self, start: int, count: int) -> tuple[list[Operation], str]:
        """Return a page of operations from `start` on and the next marker, "" after the last page.

        A page has at most `count` operations, and ends early where it would be larger than a
        request may be; its first operation may be of any size.
        """
        page: list[Operation] = []
        room = limits.REQUEST_BYTES - 512 * 1024
        for operation_id in self._order[start : start + count]:
            operation = self.operations[operation_id]
            room -= 512 + sum(
                limits.size(text) for text in (operation.input, operation.result) if text
            )
            room -= operation.error.size if operation.error is not None else 0
            if room < 0 and page:
                break
            page.append(operation)
        end_of_page = start + len(page)
        return page, str(end_of_page) if end_of_page < len(self._order) else ""

    def end(self) -> None:
        """Keep what a reader may ask for, and drop what only a running execution needs."""
        self.timers.clear()
        self._due.clear()
        self.first_timer = None
        self.heartbeats.clear()
        self.unseen.clear()
        self.waiting.clear()
