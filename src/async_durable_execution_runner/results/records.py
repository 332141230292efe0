"""What was recorded of an execution: plain data, whoever recorded it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core import model
from ..core.divergence import Divergence
from ..core.fault_places import CrashPoint

_WAITS_INSIDE = "WaitForCallback"
#: Operations that a handler ends, not anything that the execution waits for.
_HANDLERS_OWN = (model.OperationType.EXECUTION, model.OperationType.CONTEXT)


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

    @property
    def open_callbacks(self) -> list[str]:
        """The names of the callbacks that nobody has answered; that of a `wait_for_callback` is its
        own."""
        contexts = {each.id: each for each in self.operations}
        found = []
        for each in self.operations:
            if each.type is model.OperationType.CALLBACK and not each.status.is_terminal:
                name, around = each.name or "", contexts.get(each.parent_id or "")
                # The SDK's early releases give the context no type of its own.
                if (
                    around is not None
                    and around.name
                    and (around.sub_type == _WAITS_INSIDE or name == f"{around.name}-callback")
                ):
                    name = around.name
                found.append(name)
        return found

    @property
    def needs_an_answer(self) -> bool:
        """Whether the execution waits for callbacks that never time out, and for nothing else."""
        if self.status is not model.ExecutionStatus.RUNNING or not self.open_callbacks:
            return False
        if not all(each.outcome for each in self.invocations):
            return False
        limited = {
            each.id
            for each in self.events
            if each.timeout_seconds or each.heartbeat_timeout_seconds
        }
        return all(
            each.type in _HANDLERS_OWN
            or (each.type is model.OperationType.CALLBACK and each.id not in limited)
            for each in self.operations
            if not each.status.is_terminal
        )

    def no_callback(self, name: str | None, seconds: float) -> str:
        """Say in a sentence that there was no such callback, with those that are open."""
        wanted = f"callback {name!r}" if name else "callback"
        within = f" within {seconds:g} s" if seconds else ""
        others = ", ".join(map(repr, self.open_callbacks)) if name else ""
        opened = f" (open: {others})" if others else ""
        return f"No {wanted} was open{within}{opened}; the execution waits for "
