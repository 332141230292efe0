"""`Tallies`: what has happened since the coordinator began, in numbers.

They are counted where it happens, whether anybody asks or not: each is an addition. Nothing in the
coordinator depends on them.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from ..core.model import ExecutionStatus
from .workers import ExitCause

#: The upper bounds of the buckets for checkpoints, in seconds; there is one more above them.
CHECKPOINT_BOUNDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
#: What ended with its runner, which was closed.
WITHDRAWN = "withdrawn"
#: Why workers end, beside the causes that their hosts report.
DISMISSED, DEADLINE, FAULT, HOST_LOST = "dismissed", "deadline", "fault", "host_lost"


def _executions() -> dict[str, int]:
    ends = [label(each) for each in ExecutionStatus if each is not ExecutionStatus.RUNNING]
    return dict.fromkeys([*ends, WITHDRAWN], 0)


def _invocations() -> dict[str, int]:
    outcomes = ("succeeded", "failed", "pending", "error", "timed_out", "died", WITHDRAWN)
    return dict.fromkeys(outcomes, 0)


def _exits() -> dict[str, int]:
    causes = [each.name.lower() for each in ExitCause]
    return dict.fromkeys([*causes, DISMISSED, DEADLINE, FAULT, HOST_LOST], 0)


@dataclass(slots=True)
class Tallies:
    executions_started: int = 0
    #: By status.
    executions_ended: dict[str, int] = field(default_factory=_executions)
    leases_granted: int = 0
    #: The invocations that have ended, by outcome.
    invocations: dict[str, int] = field(default_factory=_invocations)
    #: The worker processes that have ended, by cause.
    worker_exits: dict[str, int] = field(default_factory=_exits)
    #: How many checkpoints fell into each bucket, and how many seconds all took together.
    checkpoints: list[int] = field(default_factory=lambda: [0] * (len(CHECKPOINT_BOUNDS) + 1))
    checkpoint_seconds: float = 0.0

    def checkpoint_took(self, seconds: float) -> None:
        self.checkpoints[bisect_left(CHECKPOINT_BOUNDS, seconds)] += 1
        self.checkpoint_seconds += seconds


def label(status: ExecutionStatus) -> str:
    return status.value.lower()
