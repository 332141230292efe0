"""Where a fault can strike: the moments of an execution, and the places that match them.

A new *where* needs a dataclass with `matches`, and a reader of its text in `fault_text`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum
from fnmatch import fnmatchcase
from typing import ClassVar, TypeAlias

from .model import OperationAction, OperationType

# -- moments -------------------------------------------------------------------------------


class Point(Enum):
    """The kinds of places at which a fault can strike."""

    #: A checkpoint has arrived, and the bodies of the steps in it have had their effects.
    BEFORE_COMMIT = "before-commit"
    #: A checkpoint is durable, and the worker does not know yet.
    AFTER_COMMIT = "after-commit"
    STATE_READ = "state-read"
    INVOCATION_START = "invocation-start"
    #: The handler has returned, and nobody has taken its result.
    INVOCATION_RESULT = "invocation-result"
    #: `ledger.record` has recorded an effect, and has not returned yet.
    EFFECT = "effect"
    #: A fault's time has come, and nothing else happens.
    TIME = "time"


#: Points at which the service client waits for an answer.
REPLIES = frozenset({Point.BEFORE_COMMIT, Point.AFTER_COMMIT, Point.STATE_READ})


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """A moment at which a crash can strike. Two moments have the same `key` if the durable state
    and the effects that are not yet durable are the same; only explorations ask for keys."""

    moment: str
    label: str
    key: str


@dataclass(frozen=True, slots=True)
class Change:
    """One update of a checkpoint; `attempt` is 1 for a step's first."""

    operation_id: str
    type: OperationType
    action: OperationAction
    name: str | None = None
    sub_type: str | None = None
    attempt: int = 1

    def __str__(self) -> str:
        again = f" attempt {self.attempt}" if self.attempt > 1 else ""
        label = self.name or self.operation_id[:8]
        return f"{self.type.value} {label} {self.action.value}{again}"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of an execution at which a fault can strike.

    `number` counts from 1 for each kind of point: commits, state reads, invocations, effects.
    `ordinal` counts all moments of the execution.
    """

    point: Point
    number: int
    ordinal: int
    #: Milliseconds since the execution's start, on its own clock.
    elapsed_ms: int
    changes: Sequence[Change] = ()
    #: The name of the effect, at an effect.
    name: str = ""

    def __str__(self) -> str:
        return f"{self.point.value}:{self.number}"

    @property
    def label(self) -> str:
        return self.name or ", ".join(map(str, self.changes))


# -- where ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Numbered:
    """The `number`-th checkpoint, state read or invocation; with None, each of them."""

    point: Point
    number: int | None = None

    def matches(self, moment: Moment) -> bool:
        return moment.point is self.point and self.number in (None, moment.number)

    def __str__(self) -> str:
        return f"{self.point.value}:{'*' if self.number is None else self.number}"


@dataclass(frozen=True, slots=True)
class AtOperation:
    """The checkpoints with an update that fits, from the `n`-th such checkpoint on.

    Texts are patterns with `*`, `?` and `[...]`.
    """

    point: Point
    name: str | None = None
    type: str | None = None
    subtype: str | None = None
    action: str | None = None
    attempt: int | None = None
    n: int = 1

    def matches(self, moment: Moment) -> bool:
        return moment.point is self.point and any(map(self._fits, moment.changes))

    def _fits(self, change: Change) -> bool:
        return (
            _like(change.name or "", self.name)
            and _like(change.type.value, self.type)
            and _like(change.sub_type or "", self.subtype)
            and _like(change.action.value, self.action)
            and self.attempt in (None, change.attempt)
        )

    def __str__(self) -> str:
        pairs = [
            f"{each.name}={value}"
            for each in fields(self)
            if each.name != "point"
            and (value := getattr(self, each.name)) not in (None, each.default)
        ]
        return f"{self.point.value}:{','.join(pairs)}"


@dataclass(frozen=True, slots=True)
class AtEffect:
    """The effects in the ledger whose names fit, from the `n`-th such effect on."""

    name: str
    n: int = 1
    point: ClassVar[Point] = Point.EFFECT

    def matches(self, moment: Moment) -> bool:
        return moment.point is Point.EFFECT and _like(moment.name, self.name)

    def __str__(self) -> str:
        return f"effect:{self.name}{f',n={self.n}' if self.n > 1 else ''}"


@dataclass(frozen=True, slots=True)
class AtTime:
    """The first moment at which `seconds` have passed on the execution's own clock and an
    invocation runs."""

    seconds: float

    def matches(self, moment: Moment) -> bool:
        return moment.elapsed_ms >= self.seconds * 1000

    def __str__(self) -> str:
        return f"time:{decimal(self.seconds)}"


@dataclass(frozen=True, slots=True)
class AtRandom:
    """Moments that are chosen with a probability; the same seed chooses the same moments."""

    probability: float
    seed: int = 0

    def matches(self, moment: Moment) -> bool:
        text = f"{self.seed}:{moment.ordinal}".encode()
        drawn = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) / 2**64
        return drawn < self.probability

    def __str__(self) -> str:
        return f"random:{decimal(self.probability)},seed={self.seed}"


Where: TypeAlias = Numbered | AtOperation | AtEffect | AtTime | AtRandom


def _like(value: str, pattern: str | None) -> bool:
    return pattern is None or fnmatchcase(value, pattern)


def decimal(value: float) -> str:
    """Return all digits of the value, as the text has to give the same value when it is read."""
    return repr(float(value)).removesuffix(".0")
