"""What was recorded of an execution: plain data, whoever recorded it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core import model
from ..core.divergence import Divergence
from ..core.fault_places import CrashPoint


@dataclass(frozen=True, slots=True)
class InvocationRecord:
    """One invocation as the coordinator recorded it. `outcome` is empty while the handler runs."""

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
    """A planned fault that fired."""

    #: The fault's text.
    fault: str
    #: The moment at which the fault struck, such as "after-commit:3".
    moment: str
    #: What happened at this moment.
    label: str
    #: The number of the invocation that the fault struck, from 1.
    invocation: int
    #: The time on the execution's clock.
    timestamp: datetime
    #: What became of the fault, where that took a while.
    note: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """Everything that is known of one execution at one moment. Times are in milliseconds on the
    execution's clock."""

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
    #: The ARNs of the executions that this one invoked in a chain.
    children: Sequence[str] = ()
    faults: Sequence[FaultFired] = ()
    unfired_faults: Sequence[str] = ()
    points: Sequence[CrashPoint] = ()
    #: The effects of this execution and of all that it invoked in a chain, in order.
    effects: Sequence[model.Effect] = ()
