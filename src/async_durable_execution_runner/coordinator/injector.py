"""`Injector`: watches one execution, and carries out its fault plan at the exact moments.

The services report what is about to happen and do what the injector answers; everything else
goes the ordinary way: a killed worker is lost, a passed deadline is a passed deadline.
Executions without a plan have no injector, and cost nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, TypeVar, assert_never

from .. import log
from ..core import faults as f
from ..core.fault_places import REPLIES, Change, Point
from ..core.faults import Plan
from ..core.model import OperationUpdate
from ..errors import InvalidParameterValue
from .injection import FiredFault, Frozen, Injection
from .leases import Leases
from .moments import Moments
from .runs import Copy, Lease, Run
from .tallies import FAULT
from .timekeeper import Timekeeper
from .workers import Worker, WorkerState

T = TypeVar("T")

#: Real seconds that a worker has to do what it is told before its deadline is made to pass.
_OBEY_SECONDS = 0.1
#: Real seconds that a zombie has to show itself before the execution goes on without it.
_ZOMBIE_SECONDS = 2.0
#: The MiB beyond which a worker without a limit of its own is killed.
_MEMORY_MB = 512


class Answer(Enum):
    #: The caller gets no answer: it is dead, or will be.
    SILENCE = "silence"
    #: The caller's stream breaks.
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Tell:
    """A fault that the worker has to commit itself."""

    what: f.Exit | f.Segfault | f.OutOfMemory | f.HangPython | f.HangC | f.Raise | f.DropReply


@dataclass(frozen=True, slots=True)
class Refuse:
    """A refusal by the service."""

    code: str
    http_status: int
    message: str


Instead: TypeAlias = Answer | Tell | Refuse
"""The kinds of things that a caller gets instead of the answer."""


class Injector:
    def __init__(
        self, leases: Leases, timekeeper: Timekeeper, run: Run, injection: Injection
    ) -> None:
        self._leases = leases
        self._pool = leases.pool
        self._timekeeper = timekeeper
        self._run = run
        self._injection = injection
        self._loop = asyncio.get_running_loop()
        self._say = log.info(__name__)
        self._moments = Moments(run, injection)
        #: The replies that were dropped, by the checkpoint token of their request.
        self._dropped: dict[str, object] = {}
        self._timer: asyncio.TimerHandle | None = None

    # -- what the services report ----------------------------------------------------------

    async def checkpoint(
        self,
        worker_id: str,
        token: str,
        updates: Sequence[OperationUpdate],
        act: Callable[[], T],
        refused: Callable[[T], str],
    ) -> T | Instead:
        """Take one checkpoint; return its reply, or what the worker gets instead of the reply.

        Args:
            worker_id: The worker that sent the checkpoint.
            token: The checkpoint token of the request.
            updates: The updates of the request.
            act: Carries out the checkpoint.
            refused: Returns the refusal in a reply, or "" where the checkpoint was taken.
        """
        if copy := self._injection.copies.get(worker_id):
            await copy[1].wait()
        execution = self._run.execution
        if (dropped := self._dropped.pop(token, None)) is not None:
            return dropped  # type: ignore[return-value]
        if not execution.holds(token):
            return self._late(worker_id, act(), refused)
        if self._is_doomed(worker_id):
            return Answer.SILENCE
        changes = self._moments.changes(updates)
        self._moments.committing(changes)
        instead = await self._at(Point.BEFORE_COMMIT, worker_id, changes)
        if instead is not None:
            return instead
        if not execution.holds(token):
            return self._late(worker_id, act(), refused)
        reply = act()
        if refused(reply):
            return reply
        self._moments.committed(changes)
        self._let_copies_go()
        await self._thaw()
        instead = await self._at(Point.AFTER_COMMIT, worker_id, changes)
        if isinstance(instead, Tell) and isinstance(instead.what, f.DropReply):
            self._dropped[token] = reply
        return reply if instead is None else instead

    async def state_read(self, worker_id: str, act: Callable[[], T]) -> T | Instead:
        instead = await self._at(Point.STATE_READ, worker_id)
        return act() if instead is None else instead

    async def effect(self, worker_id: str, name: str, operation_id: str) -> Instead | None:
        """Take an effect of the ledger of this name, of an operation or of none ("")."""
        self._moments.effect(operation_id, name)
        return await self._at(Point.EFFECT, worker_id, name=name)

    def started(self, lease: Lease) -> Instead | asyncio.Event | None:
        """Take the start of an invocation. The lease is sent to its worker where this returns None,
        and where it returns an event, once that is set."""
        if isinstance(lease.subject, Copy):
            self._injection.copies[lease.worker.id] = (lease.subject.fault, asyncio.Event())
            if self._run.lease is not lease.subject.original:
                self._let_copies_go()
            return None
        self._moments.invocation_started()
        self._watch_the_clock()
        struck = self._moments.strike(Point.INVOCATION_START)
        return None if struck is None else self._carry_out(*struck, lease)

    async def returned(self, worker: Worker) -> Instead | None:
        """Take the result of the invocation that holds the lease; return what takes its place."""
        await self._thaw()
        return await self._at(Point.INVOCATION_RESULT, worker.id)

    def lease_ended(self) -> None:
        self._let_copies_go()

    def _deliver_copy(self, original: Lease, fired: FiredFault) -> None:
        run = self._run
        if run.arn in run.workspace.runs:
            run.family.calls += 1
            copy = Copy(run, original, fired)
            self._leases.submit(copy, run.function, run.arn)
            self._pool.dispatch()

    def copy_ended(self, worker: Worker) -> None:
        self._injection.copies.pop(worker.id, None)
        self._run.family.calls -= 1
        self._timekeeper.settle(self._run.family)
        self._run.notify()

    def _gone(self, worker: Worker) -> None:
        if frozen := self._injection.frozen.pop(worker.id, None):
            frozen.fault.note = frozen.fault.note or "it went on, and its result was ignored"
            frozen.done.set()
            self._run.notify()

    def close(self) -> None:
        """Let everybody go who waits, as the execution has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self._let_copies_go()
        for frozen in list(self._injection.frozen.values()):
            self._let_go(frozen)
            self._loop.call_later(_ZOMBIE_SECONDS, self._bury, frozen)

    # -- moments ---------------------------------------------------------------------------

    async def _at(
        self, point: Point, worker_id: str, changes: Sequence[Change] = (), name: str = ""
    ) -> Instead | None:
        lease = self._run.lease
        if lease is None or lease.worker.id != worker_id:
            return None
        struck = self._moments.strike(point, changes, name)
        if struck is None:
            return None
        instead = self._carry_out(*struck, lease)
        if isinstance(instead, asyncio.Event):
            # The worker is frozen: its request is dealt with when the worker lives again.
            await instead.wait()
            return None
        return instead

    def _is_doomed(self, worker_id: str) -> bool:
        """Whether the worker was killed. What it sent before does not count then, as chance would
        decide whether it arrived."""
        worker = self._pool.workers.get(worker_id)
        return worker is None or worker.state in (WorkerState.DOOMED, WorkerState.ENDING)

    def _watch_the_clock(self) -> None:
        """Make a fault strike at its time even where nothing else happens at that time."""
        if self._timer is not None:
            self._timer.cancel()
        delay = self._moments.due_in()
        if delay is not None:
            self._timer = self._loop.call_later(delay, self._its_time)

    def _its_time(self) -> None:
        lease = self._run.lease
        if self._moments.due_in():
            # The timer was early, by less than a millisecond.
            self._watch_the_clock()
        elif lease is not None and (struck := self._moments.strike(Point.TIME)):
            self._carry_out(*struck, lease)

    # -- carrying out ----------------------------------------------------------------------

    def _carry_out(
        self, what: f.What, fired: FiredFault, point: Point, lease: Lease
    ) -> Instead | asyncio.Event | None:
        """Carry out a fault; return what the caller gets instead of its answer, or an event that
        it has to wait for."""
        worker = lease.worker
        if (say := self._say) is not None:
            say("%s .. fault %s strikes %s", log.short(self._run.arn), fired.fault, worker)
        match what:
            case f.Kill():
                self._pool.kill(worker, "a fault was planned", FAULT)
                return Answer.SILENCE
            case f.KillHost():
                assert worker.host is not None
                worker.host.die()
                return Answer.SILENCE
            case f.TimeOut():
                self._loop.call_soon(self._pass_deadline, lease)
                return Answer.SILENCE
            case f.HangPython() | f.HangC():
                self._loop.call_later(_OBEY_SECONDS, self._pass_deadline, lease, True)
                return Tell(what)
            case f.OutOfMemory():
                self._limit_memory(worker)
                return Tell(what)
            case f.Exit() | f.Segfault() | f.Raise() | f.DropReply():
                return Tell(what)
            case f.Freeze():
                return self._freeze(lease, fired)
            case f.DelayReply():
                return self._delay(lease, what.seconds)
            case f.Fail():
                return Refuse(what.code, *f.SERVICE_ERRORS[what.code])
            case f.CutConnection():
                if point in REPLIES:
                    return Answer.CUT
                self._pool.session_ended(worker)
                return Answer.SILENCE
            case f.Duplicate():
                self._loop.call_soon(self._deliver_copy, lease, fired)
                return None
            case f.KillCoordinator():
                raise AssertionError("refused when the execution was started")
            case _:
                assert_never(what)

    def _pass_deadline(self, lease: Lease, inspect: bool = False) -> None:
        """Move the clock to the invocation's deadline, and end the lease."""
        if lease.deadline is not None and self._run.lease is lease:
            left = lease.deadline.when() - self._loop.time()
            lease.deadline.cancel()
            self._run.family.clock.jump(self._run.now + max(0, round(left * 1000)))
            self._leases.deadline_passed(lease, inspect)

    def _delay(self, lease: Lease, seconds: float) -> asyncio.Event | Answer | None:
        assert lease.deadline is not None
        left = lease.deadline.when() - self._loop.time()
        if seconds >= left:
            self._loop.call_soon(self._pass_deadline, lease)
            return Answer.SILENCE
        if not self._run.family.skip:
            passed = asyncio.Event()
            self._loop.call_later(seconds, passed.set)
            return passed
        lease.deadline.cancel()
        self._leases.set_deadline(lease, left - seconds)
        self._run.family.clock.jump(self._run.now + round(seconds * 1000))
        self._timekeeper.settle(self._run.family)
        return None

    def _limit_memory(self, worker: Worker) -> None:
        if worker.host is not None and not worker.memory_limit:
            worker.memory_limit = _MEMORY_MB * 1024 * 1024
            worker.host.limit_memory(worker.id, worker.memory_limit)

    # -- zombies and copies ----------------------------------------------------------------

    def _freeze(self, lease: Lease, fired: FiredFault) -> asyncio.Event:
        frozen = self._injection.frozen[lease.worker.id] = Frozen(lease.worker, fired)
        self._pool.freeze(lease.worker, self._gone)
        self._loop.call_soon(self._pass_deadline, lease)
        return frozen.thawed

    def _let_go(self, frozen: Frozen) -> None:
        if not frozen.thawed.is_set():
            self._pool.thaw(frozen.worker)
            frozen.thawed.set()

    async def _thaw(self) -> None:
        """Let the zombies speak, now that the next invocation is at work, before it goes on."""
        for frozen in list(self._injection.frozen.values()):
            if self._run.lease is None or self._run.lease.worker is frozen.worker:
                continue
            self._let_go(frozen)
            try:
                async with asyncio.timeout(_ZOMBIE_SECONDS):
                    await frozen.done.wait()
            except TimeoutError:
                frozen.fault.note = f"it said nothing for {_ZOMBIE_SECONDS:g} s after it went on"
                self._bury(frozen)

    def _bury(self, frozen: Frozen) -> None:
        if self._injection.frozen.get(frozen.worker.id) is frozen:
            self._pool.kill(frozen.worker, "a fault froze it", FAULT)

    def _late(self, worker_id: str, reply: T, refused: Callable[[T], str]) -> T:
        """Note the refusal of a checkpoint that came too late, from a zombie or a copy."""
        note = f"its checkpoint was refused: {refused(reply)}"
        if frozen := self._injection.frozen.get(worker_id):
            frozen.fault.note = note
            frozen.done.set()
        if copy := self._injection.copies.get(worker_id):
            copy[0].note = note
        return reply

    def _let_copies_go(self) -> None:
        for _, may_go_on in self._injection.copies.values():
            may_go_on.set()


def check_feasible(plan: Plan, inline: bool) -> None:
    """Raise `InvalidParameterValue` for a fault that cannot be carried out."""
    for fault in plan.faults:
        if isinstance(fault.what, f.KillCoordinator):
            raise InvalidParameterValue(
                f"Fault {str(fault)!r} needs a store that outlives the coordinator, "
                "and this one keeps executions in memory."
            )
        if inline and isinstance(fault.what, f.NEEDS_A_PROCESS):
            raise InvalidParameterValue(
                f"Fault {str(fault)!r} needs worker processes; an inline worker is the test itself."
            )
