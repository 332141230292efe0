"""The plain records of faults: the plan of an execution, and what has come of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ..core.fault_places import CrashPoint, Point
from ..core.faults import Plan
from .workers import Worker


@dataclass(slots=True)
class FiredFault:
    """A fault that fired; `note` says what became of the fault, where that took a while."""

    fault: str
    moment: str
    label: str
    invocation: int
    time_ms: int
    note: str = ""


@dataclass(slots=True, eq=False)
class Frozen:
    """A stopped worker whose lease has ended. What the worker sent before waits for an answer."""

    worker: Worker
    fault: FiredFault
    thawed: asyncio.Event = field(default_factory=asyncio.Event)
    #: Set when the worker's late checkpoint was refused, or the worker ended.
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class Injection:
    """The fault plan of one execution, and what has come of the plan so far."""

    plan: Plan
    #: Whether the moments get keys, each of which costs a look at every operation.
    with_keys: bool
    #: The moments at which a crash could strike, in order; a moment that came again after a crash
    #: is in the list twice.
    points: list[CrashPoint] = field(default_factory=list)
    fired: list[FiredFault] = field(default_factory=list)
    #: The stopped workers, by id.
    frozen: dict[str, Frozen] = field(default_factory=dict)
    #: The workers that were given a copy of an invocation, by id; the event says that they may go
    #: on.
    copies: dict[str, tuple[FiredFault, asyncio.Event]] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Whether there are zombies or copies that have not ended yet."""
        return bool(self.frozen or self.copies)

    @property
    def reads_state(self) -> bool:
        """Whether the plan needs a read of the state, which a short state does not need itself."""
        return any(
            getattr(each.where, "point", None) is Point.STATE_READ for each in self.plan.faults
        )
