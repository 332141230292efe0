"""Fault plans as data: where something goes wrong, what does, and how often.

A fault's text is its serialised form, `kill@after-commit:17` (`fault_text` reads it).
The watcher of an execution turns what happens into `Moment`s and asks `Plan.strikes`
which fault fires there. This module must not know how a fault is carried out.

A new *what* needs a dataclass in this module, a row in `WHATS`, and the arm that mypy then asks for
in `coordinator/injector.py`. `fault_places` has the moments, and the *where*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TypeAlias

from ..errors import InvalidParameterValue
from .fault_places import REPLIES, AtRandom, AtTime, Moment, Point, Where, decimal

# pytest shows the line of the test that wrote the plan, not ours.
__tracebackhide__ = True

#: `Fault.times` for a fault that fires wherever it matches.
ALWAYS = 0


# -- what ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kill:
    """The worker is killed with SIGKILL, as when Lambda loses the environment."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The worker calls `os._exit(code)`."""

    code: int = 1


@dataclass(frozen=True, slots=True)
class Segfault:
    """The worker commits a real segmentation fault."""


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The worker takes memory until its host kills it."""


@dataclass(frozen=True, slots=True)
class Raise:
    """The service client raises, as when the network is down."""

    message: str = "Connection refused"


@dataclass(frozen=True, slots=True)
class HangPython:
    """The worker blocks in Python until its deadline."""


@dataclass(frozen=True, slots=True)
class HangC:
    """The worker blocks in C, with the interpreter's lock, until its deadline."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """The worker is stopped with SIGSTOP until the deadline has passed and the next invocation is
    at work; then the worker goes on."""


@dataclass(frozen=True, slots=True)
class TimeOut:
    """The invocation's deadline passes now."""


@dataclass(frozen=True, slots=True)
class DropReply:
    """The answer is lost; the client asks once more, as AWS's clients do."""


@dataclass(frozen=True, slots=True)
class DelayReply:
    """The answer takes `seconds` on the execution's own clock."""

    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Fail:
    """The service refuses with an error of this code."""

    code: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The invocation is delivered to a second worker too."""


@dataclass(frozen=True, slots=True)
class CutConnection:
    """The worker's connection to the service breaks."""


@dataclass(frozen=True, slots=True)
class KillHost:
    """The worker host is killed with SIGKILL, and all its workers with it."""


@dataclass(frozen=True, slots=True)
class KillCoordinator:
    """The coordinator is killed with SIGKILL, which needs a store that outlives it."""


What: TypeAlias = (
    Kill
    | Exit
    | Segfault
    | OutOfMemory
    | Raise
    | HangPython
    | HangC
    | Freeze
    | TimeOut
    | DropReply
    | DelayReply
    | Fail
    | Duplicate
    | CutConnection
    | KillHost
    | KillCoordinator
)

WHATS: dict[str, type[What]] = {
    "kill": Kill,
    "exit": Exit,
    "segfault": Segfault,
    "oom": OutOfMemory,
    "raise": Raise,
    "hang": HangPython,
    "hang-c": HangC,
    "freeze": Freeze,
    "timeout": TimeOut,
    "drop": DropReply,
    "delay": DelayReply,
    "fail": Fail,
    "duplicate": Duplicate,
    "cut": CutConnection,
    "kill-host": KillHost,
    "kill-coordinator": KillCoordinator,
}
_NAMES = {kind: name for name, kind in WHATS.items()}

#: The HTTP status and the text of each error code, as Lambda gives them.
SERVICE_ERRORS: dict[str, tuple[int, str]] = {
    "TooManyRequestsException": (429, "Rate Exceeded."),
    "ServiceException": (500, "An internal error occurred."),
    "InvalidParameterValueException": (400, "Invalid checkpoint token"),
    "ResourceNotFoundException": (404, "The execution does not exist."),
    "KMSAccessDeniedException": (502, "Lambda was denied access to the KMS key."),
    "KMSDisabledException": (502, "The KMS key is disabled."),
    "KMSInvalidStateException": (502, "The KMS key is in an invalid state."),
    "KMSNotFoundException": (502, "The KMS key was not found."),
}

_ON_A_REPLY = (DropReply, DelayReply, Fail, Raise)
#: The faults that the worker has to commit itself, when it next hears from the coordinator.
_BY_ITSELF = (Exit, Segfault, OutOfMemory, HangPython, HangC)
#: The faults that end, stop or block a process, and so cannot befall the test's own.
NEEDS_A_PROCESS = (Kill, *_BY_ITSELF, Freeze, KillHost)


def possible(what: What, point: Point) -> bool:
    """Return whether anything can go wrong in this way at such a point."""
    if isinstance(what, _ON_A_REPLY):
        return point in REPLIES
    if isinstance(what, Duplicate):
        return point is Point.INVOCATION_START
    return point is not Point.TIME or not isinstance(what, _BY_ITSELF)


# -- faults --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: `what` goes wrong at the first `times` moments that `where` matches.

    With `ALWAYS`, `what` goes wrong at every moment that `where` matches.
    """

    what: What
    where: Where
    times: int = 1

    def __post_init__(self) -> None:
        point = getattr(self.where, "point", None)
        if point is not None and not possible(self.what, point):
            raise InvalidParameterValue(
                f"{_what_text(self.what)!r} cannot happen at {point.value}: "
                + (
                    "only an invocation's start can be delivered twice."
                    if isinstance(self.what, Duplicate)
                    else "it needs an answer of the service, so a commit or a state read."
                )
            )

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Return the fault of a text such as "kill@after-commit:17"; raise `InvalidParameterValue`
        for a text that is not a fault's."""
        from .fault_text import parse

        return parse(text)

    def __str__(self) -> str:
        default = ALWAYS if isinstance(self.where, AtRandom) else 1
        how_often = "*" if self.times == ALWAYS else self.times
        suffix = "" if self.times == default else f";times={how_often}"
        return f"{_what_text(self.what)}@{self.where}{suffix}"


def _what_text(what: What) -> str:
    name = _NAMES[type(what)]
    if isinstance(what, DelayReply):
        return f"{name}={decimal(what.seconds)}"
    values = [getattr(what, each.name) for each in fields(what)]
    return f"{name}={values[0]}" if values else name


# -- a plan under way ----------------------------------------------------------------------


@dataclass(slots=True)
class _Progress:
    matched: int = 0
    fired: int = 0


@dataclass(slots=True)
class Plan:
    """The faults of one execution, and which of them have fired."""

    faults: Sequence[Fault]
    _progress: dict[int, _Progress] = field(default_factory=dict)

    def strikes(self, moment: Moment) -> Fault | None:
        """Return the fault that fires now, the first of several, and count it as fired."""
        struck: Fault | None = None
        for place, fault in enumerate(self.faults):
            progress = self._progress.setdefault(place, _Progress())
            spent = fault.times and progress.fired >= fault.times
            if spent or not possible(fault.what, moment.point) or not fault.where.matches(moment):
                continue
            progress.matched += 1
            if struck is None and progress.matched >= getattr(fault.where, "n", 1):
                progress.fired += 1
                struck = fault
        return struck

    @property
    def unfired(self) -> list[Fault]:
        return [
            fault
            for place, fault in enumerate(self.faults)
            if place not in self._progress or not self._progress[place].fired
        ]

    def due_in(self, elapsed_ms: int) -> float | None:
        """Return the seconds until the next fault at a time that has not fired, None where there is
        no such fault."""
        left = [
            fault.where.seconds - elapsed_ms / 1000
            for fault in self.unfired
            if isinstance(fault.where, AtTime) and possible(fault.what, Point.TIME)
        ]
        return max(0.0, min(left)) if left else None
