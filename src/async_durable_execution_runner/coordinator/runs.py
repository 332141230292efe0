"""What the executor keeps beside the pure state, as plain records: workspaces and families, runs
and calls, leases, and what went on in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..core.commands import Deliver
from ..core.divergence import Divergence, Source
from ..core.execution import Execution
from ..core.faults import CrashPoint, Plan, Point
from ..core.model import (
    Effect,
    ErrorObject,
    ExecutionStatus,
    Isolation,
    Operation,
    OperationType,
    OutputLine,
)
from ..core.operations.chained_invoke import ANY_FUNCTION, parse_function_name
from ..core.turn import Timer
from ..errors import ResourceNotFound, RunnerError, WorkersUnavailable
from .clock import VirtualClock, real_ms
from .following import Follower
from .workers import ACCOUNT, REGION, Function, Job, Share, Stacks, Worker


@dataclass(slots=True, eq=False, repr=False)
class Workspace:
    """What one runner brought: its functions, limits and executions. It is closed when the runner
    goes away, and they go with it."""

    id: str
    share: Share
    invocation_retries: int
    retry_backoff_ms: int
    epoch_ms: int | None
    functions: dict[str, Function] = field(default_factory=dict)
    #: The executions that are remembered, by ARN.
    runs: dict[str, Run] = field(default_factory=dict)
    #: The same by function and execution name, which is unique.
    names: dict[tuple[str, str], Run] = field(default_factory=dict)
    #: Those who want to read what its handlers write.
    followers: list[Follower] = field(default_factory=list)

    @property
    def needs_processes(self) -> bool:
        return any(each.isolation is not Isolation.INLINE for each in self.functions.values())

    def find(self, function_name: str) -> Function:
        """By name, `name:qualifier` or ARN; the qualified name is preferred to the bare one."""
        _, _, name, qualifier = parse_function_name(function_name)
        function = self.functions.get(f"{name}:{qualifier}") or self.functions.get(name)
        if function is None and (every := self.functions.get(ANY_FUNCTION)):
            function = self.functions[name] = replace(every, name=name)
        if function is None:
            raise ResourceNotFound(
                f"Function not found: arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
                f"{':' + qualifier if qualifier else ''}"
            )
        return function


@dataclass(slots=True, eq=False)
class Family:
    """A root execution and all that it invoked in a chain; they share one clock."""

    clock: VirtualClock
    skip: bool
    #: Time stands still until somebody waits for the end.
    hold: bool
    #: Real seconds in which somebody may still answer a callback, once the end is awaited.
    answer_grace: float
    runs: list[Run] = field(default_factory=list)
    #: Plain functions and copies that are under way.
    calls: int = 0
    #: Chained invokes that are not yet begun, or whose end is not yet told.
    pending_calls: int = 0
    #: How many are moving the clock by hand.
    advancing: int = 0
    #: When, in the loop's time, each of those who wait for the end began to.
    awaiting_end: list[float] = field(default_factory=list)
    awaiting_callback: int = 0
    quiet_since: float | None = None
    armed: asyncio.Handle | None = None
    #: What `armed` is for: the due time, and whether the family was quiescent.
    armed_for: tuple[int, bool] | None = None
    quiet: asyncio.Future[None] | None = None

    @property
    def quiescent(self) -> bool:
        return not (self.calls or self.pending_calls) and all(
            run.execution.suspended or run.execution.ended for run in self.runs
        )

    def next_timer(self) -> tuple[int, Timer, Run] | None:
        """The earliest timer of any member: when, which, whose."""
        first: tuple[int, Timer, Run] | None = None
        for run in self.runs:
            timer = run.execution.next_timer()
            if timer is not None and (first is None or timer[1] < first[0]):
                first = (timer[1], timer[0], run)
        return first


@dataclass(slots=True)
class InvocationState:
    """How one invocation goes. Times are on the execution's clock, real for a plain function that
    was invoked from outside; `outcome` is "" while it runs."""

    request_id: str
    worker_id: str
    pid: int
    start_ms: int
    end_ms: int | None = None
    outcome: str = ""
    error: ErrorObject | None = None
    output: Sequence[OutputLine] = ()
    output_truncated: bool = False
    #: What its worker was doing, where it did not get on.
    stacks: Stacks | None = None
    divergences: Sequence[Divergence] = ()


@dataclass(slots=True)
class FiredFault:
    """A fault that fired; `note` says what became of it where that took a while."""

    fault: str
    moment: str
    label: str
    invocation: int
    time_ms: int
    note: str = ""


@dataclass(slots=True, eq=False)
class Frozen:
    """A worker that is stopped, its lease ended; what it sent before waits."""

    worker: Worker
    fault: FiredFault
    thawed: asyncio.Event = field(default_factory=asyncio.Event)
    #: Set when the worker's late checkpoint was refused, or the worker ended.
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class Injection:
    """A fault plan on its way through one execution, and what has come of it so far."""

    plan: Plan
    #: Whether somebody wants to know where a crash could strike.
    record_points: bool
    #: In order; a moment that came again after a crash is there again.
    points: list[CrashPoint] = field(default_factory=list)
    fired: list[FiredFault] = field(default_factory=list)
    #: Stopped workers, by id.
    frozen: dict[str, Frozen] = field(default_factory=dict)
    #: Workers that were given a copy of an invocation, and whether they may go on.
    copies: dict[str, tuple[FiredFault, asyncio.Event]] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """There are zombies or copies whose end is still to come."""
        return bool(self.frozen or self.copies)

    @property
    def reads_state(self) -> bool:
        """The plan needs a read of the state, which a short one never asks for."""
        return any(
            getattr(each.where, "point", None) is Point.STATE_READ for each in self.plan.faults
        )


@dataclass(slots=True, eq=False)
class Watcher:
    condition: Callable[[], bool]
    #: True: the condition held, if only for a moment.
    done: asyncio.Future[bool]


class Sources:
    """Where the handler asked for its operations, as far as it is known."""

    def __init__(self) -> None:
        self.distinct: dict[Source, int] = {}
        self._numbers: dict[str, int] = {}

    def note(self, operation_id: str, source: Source) -> None:
        number = self.distinct.setdefault(source, len(self.distinct) + 1)
        self._numbers.setdefault(operation_id, number)

    def numbers(self, operations: Iterable[Operation]) -> list[int]:
        """The place of each one's source in `distinct`, counted from 1; 0 where none is known."""
        get = self._numbers.get
        return [get(operation.id, 0) for operation in operations]


@dataclass(slots=True, eq=False, repr=False)
class Run:
    """An execution, and what the executor keeps beside its state."""

    execution: Execution
    workspace: Workspace
    function: Function
    family: Family
    tenant_id: str | None = None
    #: A JSON object, where a caller over the AWS API sent one.
    client_context: str | None = None
    #: The run and the operation that invoked it in a chain.
    parent: tuple[Run, str] | None = None
    invocations: list[InvocationState] = field(default_factory=list)
    lease: Lease | None = None
    #: The effects of its own handler and of all that it invoked in a chain.
    effects: list[Effect] = field(default_factory=list)
    sources: Sources = field(default_factory=Sources)
    #: Callbacks that a test was told of, by operation id, with the loop's time.
    disclosed: dict[str, float] = field(default_factory=dict)
    #: Those who wait for something to become true of it.
    watchers: list[Watcher] = field(default_factory=list)
    #: Where there is a fault plan, or somebody wants to know where one could strike.
    injection: Injection | None = None
    #: Set when it has ended and is to be forgotten.
    expiry: asyncio.TimerHandle | None = None

    @property
    def arn(self) -> str:
        return self.execution.config.arn

    @property
    def overtaken(self) -> bool:
        """Nobody wants it invoked any more."""
        return self.execution.ended

    @property
    def settled(self) -> bool:
        """It ended, and so did the invocation that ended it, by a checkpoint maybe. One that
        was cut off by a time-out or a stop runs on, and nobody waits for it."""
        cut_off = (ExecutionStatus.TIMED_OUT, ExecutionStatus.STOPPED)
        if not self.execution.ended or (self.injection is not None and self.injection.busy):
            return False
        return self.lease is None or self.execution.status in cut_off

    def open_callbacks(self, name: str) -> list[Operation]:
        """Callbacks that wait for an answer, by their own name or by their context's."""
        found = []
        for operation in self.execution.waiting:
            if operation.type is OperationType.CALLBACK:
                parent = self.execution.operations.get(operation.parent_id or "")
                if not name or name in (operation.name, parent.name if parent else None):
                    found.append(operation)
        return found

    def label(self, operation: Operation) -> str:
        """The operation in words: "step 'charge'", "callback of 'approval'"."""
        kind = operation.type.value.lower().replace("_", " ")
        parent = self.execution.operations.get(operation.parent_id or "")
        if operation.name:
            return f"{kind} {operation.name!r}"
        if operation.type is OperationType.CALLBACK and parent is not None and parent.name:
            return f"{kind} of {parent.name!r}"
        return kind

    def named(self, timer: Timer) -> str:
        """The timer in words: "retry of step 'charge'", "its execution time-out"."""
        operation = self.execution.operations[timer.operation_id]
        if operation.type is OperationType.EXECUTION:
            return f"its {timer.kind.value}"
        label = self.label(operation)
        what = timer.kind.value.removeprefix(label.partition(" ")[0]).strip()
        return f"{what} of {label}" if what else label

    async def watch(self, condition: Callable[[], bool]) -> bool:
        """Wait until `condition` holds; False where whoever waits should look around first."""
        watcher = Watcher(condition, asyncio.get_running_loop().create_future())
        self.watchers.append(watcher)
        try:
            return await watcher.done
        finally:
            if watcher in self.watchers:
                self.watchers.remove(watcher)

    def notify(self, unconditionally: bool = False) -> None:
        """Wake those whose condition holds now, or all."""
        for watcher in self.watchers[:]:
            true = watcher.condition()
            if true or unconditionally:
                self.watchers.remove(watcher)
                if not watcher.done.done():
                    watcher.done.set_result(true)

    @property
    def now(self) -> int:
        return self.family.clock.now()

    def __repr__(self) -> str:
        return f"<Run {self.arn} {self.execution.status.value}>"


@dataclass(slots=True, eq=False)
class Call:
    """A chained invoke of a plain function: one invocation, no state."""

    parent: Run
    operation_id: str
    function: Function
    payload: str
    tenant_id: str | None
    lease: Lease | None = None

    @property
    def workspace(self) -> Workspace:
        return self.parent.workspace

    @property
    def family(self) -> Family:
        return self.parent.family

    @property
    def now(self) -> int:
        return self.parent.now

    @property
    def overtaken(self) -> bool:
        return self.parent.overtaken


@dataclass(slots=True, eq=False)
class PlainInvocation:
    """A plain function invoked from outside: no execution around it, and no state."""

    workspace: Workspace
    function: Function
    payload: str
    tenant_id: str | None
    client_context: str | None
    #: What came of it: JSON text, or what it failed with.
    outcome: asyncio.Future[str | ErrorObject] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    invocation: InvocationState | None = None
    lease: Lease | None = None

    @property
    def family(self) -> None:
        """It has no clock to share."""

    @property
    def now(self) -> int:
        return real_ms()

    @property
    def overtaken(self) -> bool:
        return False

    def again(self) -> PlainInvocation:
        """The same, for another attempt: of the function as it is by then."""
        function = self.workspace.functions.get(self.function.name, self.function)
        return PlainInvocation(
            self.workspace, function, self.payload, self.tenant_id, self.client_context
        )

    def complete(
        self, outcome: str | ErrorObject, output: Sequence[OutputLine], truncated: bool
    ) -> None:
        assert self.invocation is not None
        self.invocation.end_ms = self.now
        self.invocation.output, self.invocation.output_truncated = output, truncated
        if isinstance(outcome, ErrorObject):
            self.invocation.outcome, self.invocation.error = "ERROR", outcome
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def workers_unavailable(self, why: str) -> None:
        if self.function.isolation is not Isolation.INLINE:
            self.give_up(WorkersUnavailable(f"Workers cannot be started: {why}"))

    def give_up(self, error: RunnerError) -> None:
        """Nobody need wait for it any longer."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
            # There may be nobody who asks.
            self.outcome.exception()


@dataclass(slots=True, eq=False)
class Copy:
    """A second delivery of an invocation that `original` is the first of."""

    parent: Run
    original: Lease
    fault: FiredFault
    lease: Lease | None = None

    @property
    def workspace(self) -> Workspace:
        return self.parent.workspace

    @property
    def family(self) -> Family:
        return self.parent.family

    @property
    def now(self) -> int:
        return self.parent.now

    @property
    def overtaken(self) -> bool:
        return self.parent.overtaken


@dataclass(slots=True, eq=False)
class Lease:
    """A worker's hold on an invocation."""

    job: Job
    worker: Worker
    subject: Subject
    invocation: InvocationState
    deadline: asyncio.TimerHandle | None = None
    #: What the invocation is given, where it is an execution's.
    deliver: Deliver | None = None
    #: Set once the deadline has passed.
    timed_out: bool = False
    #: What the worker wrote, where its result came too late.
    late_output: Sequence[OutputLine] = ()
    #: The loop's time when the last checkpoint came.
    last_checkpoint: float | None = None

    def note(self, stacks: Stacks) -> None:
        """Keep what its worker was doing, unless it has ended meanwhile."""
        if self.subject.lease is self:
            self.invocation.stacks = stacks


Subject = Run | Call | PlainInvocation | Copy
"""What an invocation can be for."""
