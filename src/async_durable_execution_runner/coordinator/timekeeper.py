"""`Timekeeper`: fires every timer of every execution, in real time or by skipping ahead.

A family's clock is skipped only when the family is quiescent: no invocation is leased or
queued, nothing is under way between two members, and nobody holds the time. Then the clock jumps
to the earliest timer of any member, so that the order is right whatever the lengths. An answer can
still avert some time-outs: a callback's, or the execution's while a callback is open. Before such a
time-out the clock holds until somebody waits for the end, and for a moment longer, since the answer
may come from a thread of the test or from a server that the test runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import log
from ..core import events as ev
from ..core import limits
from ..core.model import OperationType
from ..core.turn import Timer, TimerKind
from .clock import VirtualClock
from .runs import Family, Run

#: Real seconds in which a test that waits for the end may still answer a callback.
ANSWER_GRACE_SECONDS = 0.3

_AVERTABLE = (
    TimerKind.CALLBACK_TIMEOUT,
    TimerKind.CALLBACK_HEARTBEAT,
    TimerKind.EXECUTION_TIMEOUT,
)


class Timekeeper:
    """The timers of all families."""

    def __init__(self, feed: Callable[[Run, ev.Event], object]) -> None:
        """`feed` takes an execution one turn further."""
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._say = log.debug(__name__)

    @staticmethod
    def add_family(clock: VirtualClock, skip: bool, hold: bool) -> Family:
        """Make a family.

        Args:
            clock: The family's clock.
            skip: Whether the clock jumps to the next timer while the family is quiescent.
            hold: Whether no time is skipped until somebody waits for the end.
        """
        return Family(clock, skip, hold, ANSWER_GRACE_SECONDS)

    def forget(self, family: Family) -> None:
        """Let no timer of the family fire any more."""
        self._disarm(family)
        family.clear()
        self._settled(family)

    def settle(self, family: Family) -> None:
        """Arm the family's next timer. This is called after every turn of a member."""
        first = family.next_timer()
        quiescent = family.quiescent
        if first is not None and not quiescent and family.armed_for == (first[0], False):
            return
        self._disarm(family)
        if not quiescent:
            family.quiet_since = None
        elif family.quiet_since is None:
            family.quiet_since = self._loop.time()
        if quiescent:
            self._settled(family)
        if first is None or family.clock.stands_still:
            return
        due_ms, timer, owner = first
        delay = max(0, due_ms - family.clock.now()) / 1000
        if quiescent and family.skip and not (family.hold or family.advancing):
            wait = self._answer_may_come(family, timer, owner)
            if wait is not None and wait < delay:
                skip_to = due_ms if wait == 0 else None
                self._arm(family, wait, (due_ms, True), skip_to)
                if (say := self._say) is not None:
                    say(*_skipping(owner, timer, delay, wait))
                return
        self._arm(family, delay, (due_ms, quiescent), due_ms)
        if quiescent and (say := self._say) is not None:
            say(*_armed(owner, timer, delay))

    def _answer_may_come(self, family: Family, timer: Timer, owner: Run) -> float | None:
        """Return the real seconds to wait before skipping to `timer`; None for not skipping."""
        if timer.kind not in _AVERTABLE:
            return 0
        open_callbacks = [
            (run, operation.id)
            for run in family.runs.values()
            for operation in run.execution.waiting
            if operation.type is OperationType.CALLBACK
        ]
        if not open_callbacks:
            return 0
        if family.awaiting_callback or not family.awaiting_end:
            return None
        # The longest time-out is the default, and is not what a test waits for.
        chosen = owner.function.execution_timeout_seconds < limits.DURATION_SECONDS
        if timer.kind is TimerKind.EXECUTION_TIMEOUT and not chosen:
            return None
        # A callback that was disclosed while somebody already waited for the end is known to
        # another thread or task of the test, which may take its time.
        began = max(family.awaiting_end)
        if any(run.disclosed.get(operation_id, 0) > began for run, operation_id in open_callbacks):
            return None
        assert family.quiet_since is not None
        left = max(began, family.quiet_since) + family.answer_grace - self._loop.time()
        return max(0, left)

    def _arm(
        self, family: Family, delay: float, reason: tuple[int, bool], skip_to: int | None
    ) -> None:
        family.armed_for = reason
        if skip_to is None:
            family.armed = self._loop.call_later(delay, self._resettle, family)
        elif delay <= 0:
            family.armed = self._loop.call_soon(self._fire, family, skip_to)
        else:
            family.armed = self._loop.call_later(delay, self._fire, family, skip_to)

    def _disarm(self, family: Family) -> None:
        if family.armed is not None:
            family.armed.cancel()
        family.armed = family.armed_for = None

    def _resettle(self, family: Family) -> None:
        self._disarm(family)
        self.settle(family)

    def _fire(self, family: Family, due_ms: int) -> None:
        self._disarm(family)
        first = family.next_timer()
        if first is None or first[0] > due_ms:
            self.settle(family)
            return
        family.clock.jump(due_ms)
        self._feed(first[2], ev.TimePassed(due_ms))

    @staticmethod
    def _settled(family: Family) -> None:
        if family.quiet is not None and not family.quiet.done():
            family.quiet.set_result(None)
        family.quiet = None

    # -- what outsiders do to time ---------------------------------------------------------

    def stop(self, family: Family) -> None:
        """Let the family's clock stand still until `go` is called as often as this."""
        family.clock.stop()
        self._disarm(family)

    def go(self, family: Family) -> None:
        family.clock.go()
        self._resettle(family)

    @contextmanager
    def awaiting_end(self, family: Family) -> Iterator[None]:
        """Wait for the end in the body of the `with`, during which time may be skipped."""
        began = self._loop.time()
        family.awaiting_end.append(began)
        family.hold = False
        self._resettle(family)
        try:
            yield
        finally:
            family.awaiting_end.remove(began)

    @contextmanager
    def awaiting_callback(self, family: Family) -> Iterator[None]:
        """Wait for a callback in the body of the `with`, during which time is not skipped to a
        time-out that an answer can avert."""
        family.awaiting_callback += 1
        self._resettle(family)
        try:
            yield
        finally:
            family.awaiting_callback -= 1
            self._resettle(family)

    async def advance(self, family: Family, duration_ms: int) -> None:
        """Move the clock forward, timer by timer; return when all that fell due is handled."""
        family.advancing += 1
        try:
            target = family.clock.now() + duration_ms
            while True:
                await self._quiet(family)
                first = family.next_timer()
                if first is None or first[0] > target:
                    break
                self._fire(family, first[0])
            family.clock.jump(target)
        finally:
            family.advancing -= 1
            self._resettle(family)

    async def _quiet(self, family: Family) -> None:
        while not family.quiescent:
            if family.quiet is None:
                family.quiet = self._loop.create_future()
            await asyncio.shield(family.quiet)


def _skipping(owner: Run, timer: Timer, delay: float, wait: float) -> tuple[str, ...]:
    """Return the log's line on time that is skipped, as a format and its arguments."""
    when = f"in {wait:.1f} s, unless there is an answer before, " if wait else ""
    name, skipped = log.short(owner.arn), log.span(delay * 1000)
    return "%s .. %stime skips %s, to when %s is due", name, when, skipped, owner.named(timer)


def _armed(owner: Run, timer: Timer, delay: float) -> tuple[str, ...]:
    """Return the log's line on a timer that fires in real time."""
    family = owner.family
    why = ""
    if family.advancing:
        why = ", or when the clock is advanced that far"
    elif family.skip and family.hold:
        why = "; time is not skipped before somebody waits for the end"
    elif family.skip:
        why = "; time is not skipped while a callback may be answered"
    name, due = log.short(owner.arn), log.span(delay * 1000)
    return "%s .. %s is due in %s of real time%s", name, owner.named(timer), due, why
