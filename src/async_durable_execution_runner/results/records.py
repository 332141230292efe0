"""What was recorded of an execution: plain data, from whoever recorded it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core import model
from ..core.divergence import Divergence
from ..core.faults import CrashPoint


@dataclass(frozen=True, slots=True)
class InvocationRecord:
    """One invocation as the coordinator recorded it. `outcome` is empty while it runs."""

    request_id: str
    worker_id: str = ""
    pid: int = 0
    start_ms: int = 0
    end_ms: int | None = None
    outcome: str = ""
    error: model.ErrorObject | None = None
    output: tuple[model.OutputLine, ...] = ()
    output_truncated: bool = False
    divergences: tuple[Divergence, ...] = ()
    stacks: tuple[str, ...] = ()
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class FaultFired:
    """A planned fault that fired: `fault` is its text, `moment` where it was ("after-commit:3"),
    `label` what happened there, `invocation` which one it struck (from 1 on), `timestamp` on the
    execution's clock, `note` what became of it where that took a while."""

    fault: str
    moment: str
    label: str
    invocation: int
    timestamp: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """Everything known of one execution at one moment."""

    execution_arn: str
    status: model.ExecutionStatus
    execution_name: str = ""
    function_name: str = ""
    start_ms: int = 0
    end_ms: int | None = None
    result: str | None = None
    error: model.ErrorObject | None = None
    timed_out: bool = False
    waiting_for: str = ""
    operations: Sequence[model.Operation] = ()
    events: Sequence[model.HistoryEvent] = ()
    invocations: Sequence[InvocationRecord] = ()
    #: ARNs of the executions that it invoked in a chain.
    children: Sequence[str] = ()
    faults: Sequence[FaultFired] = ()
    unfired_faults: Sequence[str] = ()
    points: Sequence[CrashPoint] = ()
    #: Its own and those of all that it invoked in a chain, as they came.
    effects: Sequence[model.Effect] = ()
