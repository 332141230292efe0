"""The plain records that the executor keeps beside the pure state: workspaces, families, runs,
calls, leases, and what happened in them.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from ..core.commands import Deliver
from ..core.divergence import Divergence
from ..core.execution import Execution
from ..core.limits import Limits
from ..core.model import (
    Effect,
    ErrorObject,
    ExecutionStatus,
    Isolation,
    Operation,
    OperationType,
    OutputLine,
    Place,
)
from ..core.operations.chained_invoke import ANY_FUNCTION, parse_function_name
from ..core.turn import Timer
from ..errors import ResourceNotFound, RunnerError, WorkersUnavailable
from .clock import VirtualClock, real_ms
from .following import Follower
from .injection import FiredFault, Injection
from .patience import Patience
from .sources import Sources
from .workers import Function, Job, Labels, Share, Stacks, Worker


@dataclass(slots=True, eq=False, repr=False)
class Workspace:
    """One runner's functions, limits and executions. The workspace is closed, and all of these are
    forgotten, when the runner goes away."""

    id: str
    share: Share
    invocation_retries: int
    retry_backoff_ms: int
    epoch_ms: int | None
    limits: Limits
    place: Place
    functions: dict[str, Function] = field(default_factory=dict)
    #: Set once the functions were given all at once.
    functions_known: asyncio.Event = field(default_factory=asyncio.Event)
    #: The executions that are remembered, by ARN.
    runs: dict[str, Run] = field(default_factory=dict)
    #: The same executions by function name and execution name, which is unique for a function.
    names: dict[tuple[str, str], Run] = field(default_factory=dict)
    #: How long callers wait for the executions.
    patience: Patience = field(default_factory=Patience)
    #: How the handlers are debugged, as workers are told it; None where nobody can.
    debugging: Any = None
    #: The callers who want to read what the handlers write.
    followers: list[Follower] = field(default_factory=list)

    @property
    def needs_processes(self) -> bool:
        return any(each.isolation is not Isolation.INLINE for each in self.functions.values())

    def find(self, function_name: str) -> Function:
        """Find a function by its name, `name:qualifier` or ARN.

        A function of the qualified name is preferred to one of the bare name. Raises
        `ResourceNotFound` where there is no such function.
        """
        _, _, name, qualifier = parse_function_name(function_name)
        function = self.functions.get(f"{name}:{qualifier}") or self.functions.get(name)
        if function is None and (every := self.functions.get(ANY_FUNCTION)):
            function = self.functions[name] = replace(every, name=name)
        if function is None:
            raise ResourceNotFound(
                f"Function not found: {self.place.arn(name)}{':' + qualifier if qualifier else ''}"
            )
        return function


@dataclass(slots=True, eq=False)
class Family:
    """A root execution and all that it invoked in a chain; they share one clock."""

    clock: VirtualClock
    skip: bool
    #: Whether no time is skipped until somebody waits for the end.
    hold: bool
    #: Real seconds in which somebody may still answer a callback, once the end is awaited.
    answer_grace: float
    #: The levels of logging that the test wants in all invocations, by the names of the loggers.
    log_levels: Mapping[str, int] = field(default_factory=dict)
    #: The context that coverage notes lines of all invocations under.
    coverage_context: str = ""
    #: What the labels of a worker host must have to be given an invocation; and the same, if that
    #: is not empty, once the root has had as many as `resume_after` says.
    labels: Labels = frozenset()
    resume_on: Labels = frozenset()
    resume_after: int = 1
    #: How many invocations of the root have begun.
    begun: int = 0
    #: The members that have not ended, the oldest first.
    runs: dict[str, Run] = field(default_factory=dict)
    #: The members whose invocation is asked for or under way, and those who have had no turn yet.
    busy: set[Run] = field(default_factory=set)
    #: A heap of the members' earliest timers: the due time, the member's age, and the member.
    _due: list[tuple[int, int, Run]] = field(default_factory=list)
    _ages: Iterator[int] = field(default_factory=count)
    #: How many plain functions and copies are under way.
    calls: int = 0
    #: How many chained invokes have not begun yet, or have an end that has not been told yet.
    pending_calls: int = 0
    #: How many callers are moving the clock by hand.
    advancing: int = 0
    #: The loop's time at which each caller who waits for the end began to wait.
    awaiting_end: list[float] = field(default_factory=list)
    awaiting_callback: int = 0
    quiet_since: float | None = None
    armed: asyncio.Handle | None = None
    #: The due time of `armed`, and whether the family was quiescent.
    armed_for: tuple[int, bool] | None = None
    quiet: asyncio.Future[None] | None = None

    @property
    def wanted(self) -> Labels:
        """What the labels of a worker host must have to be given the next invocation."""
        return (self.begun >= self.resume_after and self.resume_on) or self.labels

    @property
    def quiescent(self) -> bool:
        return not (self.calls or self.pending_calls or self.busy)

    def add(self, run: Run) -> None:
        """Take in a member, whose first turn is to come."""
        run.age = next(self._ages)
        self.runs[run.arn] = run
        self.busy.add(run)

    def remove(self, run: Run) -> None:
        """Let go of a member that has ended."""
        del self.runs[run.arn]
        self.busy.discard(run)

    def clear(self) -> None:
        """Let go of all members."""
        self.runs.clear()
        self.busy.clear()
        self._due.clear()
        self.calls = self.pending_calls = 0

    def note(self, run: Run) -> None:
        """Take note of what a turn has changed in a member."""
        if run.arn not in self.runs:
            return
        if run.execution.suspended:
            self.busy.discard(run)
        else:
            self.busy.add(run)
        timer = run.execution.next_timer()
        due = None if timer is None else timer[1]
        if due != run.noted_due:
            run.noted_due = due
            if due is not None:
                heapq.heappush(self._due, (due, run.age, run))

    def next_timer(self) -> tuple[int, Timer, Run] | None:
        """Return the earliest timer of any member, as the due time, the timer and the member."""
        while self._due:
            due, _, run = self._due[0]
            timer = run.execution.next_timer()
            if run.arn in self.runs and timer is not None and timer[1] == due:
                return due, timer[0], run
            heapq.heappop(self._due)
        return None


@dataclass(slots=True)
class InvocationState:
    """The course of one invocation.

    Times are Unix milliseconds on the execution's clock, or real ones for a plain function that was
    invoked from outside. `outcome` is "" while the invocation runs.
    """

    request_id: str
    worker_id: str
    pid: int
    start_ms: int
    end_ms: int | None = None
    outcome: str = ""
    error: ErrorObject | None = None
    output: Sequence[OutputLine] = ()
    output_truncated: bool = False
    #: The worker's stacks, where the invocation did not get on.
    stacks: Stacks | None = None
    divergences: Sequence[Divergence] = ()


@dataclass(slots=True, eq=False)
class Watcher:
    """Somebody who waits for a condition on a run."""

    condition: Callable[[], bool]
    #: Whether the condition held, if only for a moment.
    done: asyncio.Future[bool]


@dataclass(slots=True, eq=False, repr=False)
class Run:
    """An execution, with what the executor keeps beside the execution's state."""

    execution: Execution
    workspace: Workspace
    function: Function
    family: Family
    tenant_id: str | None = None
    #: The JSON object that a caller over the AWS API sent, if any.
    client_context: str | None = None
    #: The run and the operation that invoked it in a chain.
    parent: tuple[Run, str] | None = None
    invocations: list[InvocationState] = field(default_factory=list)
    lease: Lease | None = None
    #: The effects of this execution's handler and of all that it invoked in a chain.
    effects: list[Effect] = field(default_factory=list)
    sources: Sources = field(default_factory=Sources)
    #: What the labels of the worker host of its last invocation had to have.
    labels: Labels = frozenset()
    #: The loop's time at which a test was told of a callback, by operation id.
    disclosed: dict[str, float] = field(default_factory=dict)
    #: Everybody who waits for something to become true of the execution.
    watchers: list[Watcher] = field(default_factory=list)
    #: Set where the execution has a fault plan, or its crash points are recorded.
    injection: Injection | None = None
    #: How many members the family had before.
    age: int = 0
    #: The due time of its earliest timer, as of its last turn.
    noted_due: int | None = None
    #: Set when the execution has ended and will be forgotten.
    expiry: asyncio.TimerHandle | None = None

    @property
    def arn(self) -> str:
        return self.execution.config.arn

    def choose_hosts(self) -> None:
        """Set `labels` for its next invocation. Where these change, code may have other lines."""
        if self.labels != self.family.wanted:
            self.labels, self.sources = self.family.wanted, Sources()

    @property
    def overtaken(self) -> bool:
        """Whether nobody wants the execution invoked any more."""
        return self.execution.ended

    @property
    def settled(self) -> bool:
        """Whether the execution has ended, and the invocation that ended it has ended too.

        After a time-out or a stop, nobody waits for the invocation that was cut off.
        """
        cut_off = (ExecutionStatus.TIMED_OUT, ExecutionStatus.STOPPED)
        if not self.execution.ended or (self.injection is not None and self.injection.busy):
            return False
        return self.lease is None or self.execution.status in cut_off

    def open_callbacks(self, name: str) -> list[Operation]:
        """Return the callbacks that wait for an answer and that have this name, or whose context
        has it; an empty `name` stands for any."""
        found = []
        for operation in self.execution.waiting:
            if operation.type is OperationType.CALLBACK:
                parent = self.execution.operations.get(operation.parent_id or "")
                if not name or name in (operation.name, parent.name if parent else None):
                    found.append(operation)
        return found

    def label(self, operation: Operation) -> str:
        """Return the operation in words: "step 'charge'", "callback of 'approval'"."""
        kind = operation.type.value.lower().replace("_", " ")
        parent = self.execution.operations.get(operation.parent_id or "")
        if operation.name:
            return f"{kind} {operation.name!r}"
        if operation.type is OperationType.CALLBACK and parent is not None and parent.name:
            return f"{kind} of {parent.name!r}"
        return kind

    def named(self, timer: Timer) -> str:
        """Return the timer in words: "retry of step 'charge'", "its execution time-out"."""
        operation = self.execution.operations[timer.operation_id]
        if operation.type is OperationType.EXECUTION:
            return f"its {timer.kind.value}"
        label = self.label(operation)
        what = timer.kind.value.removeprefix(label.partition(" ")[0]).strip()
        return f"{what} of {label}" if what else label

    async def watch(self, condition: Callable[[], bool]) -> bool:
        """Wait until `condition` holds; return False where the caller should look around first."""
        watcher = Watcher(condition, asyncio.get_running_loop().create_future())
        self.watchers.append(watcher)
        try:
            return await watcher.done
        finally:
            if watcher in self.watchers:
                self.watchers.remove(watcher)

    def notify(self, unconditionally: bool = False) -> None:
        """Wake the watchers whose condition holds now; with `unconditionally`, wake all."""
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


class _OfExecution:
    """An invocation that is for an execution, but not one of its own."""

    __slots__ = ()
    parent: Run

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
class Call(_OfExecution):
    """A chained invoke of a plain function, which has one invocation and no state."""

    parent: Run
    operation_id: str
    function: Function
    payload: str
    tenant_id: str | None
    lease: Lease | None = None

    @property
    def labels(self) -> Labels:
        return self.family.wanted


@dataclass(slots=True, eq=False)
class PlainInvocation:
    """An invocation of a plain function from outside, with no execution around it."""

    workspace: Workspace
    function: Function
    payload: str
    tenant_id: str | None
    client_context: str | None
    #: The outcome: JSON text, or the error that the function failed with.
    outcome: asyncio.Future[str | ErrorObject] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    invocation: InvocationState | None = None
    lease: Lease | None = None
    labels: Labels = frozenset()

    @property
    def family(self) -> None:
        """None, as a plain function has no clock to share."""

    @property
    def now(self) -> int:
        return real_ms()

    @property
    def overtaken(self) -> bool:
        return False

    def again(self) -> PlainInvocation:
        """Make another attempt at the same invocation, of the function as it is now."""
        function = self.workspace.functions.get(self.function.name, self.function)
        return PlainInvocation(
            self.workspace, function, self.payload, self.tenant_id, self.client_context
        )

    def complete(
        self, outcome: str | ErrorObject, output: Sequence[OutputLine], truncated: bool
    ) -> None:
        """End the invocation with JSON text or with the error that the function failed with.

        Args:
            outcome: JSON text, or the error.
            output: The lines that the function wrote.
            truncated: Whether `output` lacks lines.
        """
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
        """End the waiting for the outcome with `error`."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
            # Asking for the exception keeps asyncio from logging it where nobody waits.
            self.outcome.exception()


@dataclass(slots=True, eq=False)
class Copy(_OfExecution):
    """A second delivery of an invocation that `original` is the first of."""

    parent: Run
    original: Lease
    fault: FiredFault
    lease: Lease | None = None

    @property
    def labels(self) -> Labels:
        return self.original.job.labels


@dataclass(slots=True, eq=False)
class Lease:
    """A worker's hold on an invocation."""

    job: Job
    worker: Worker
    subject: Subject
    invocation: InvocationState
    #: When it began, by `time.monotonic`.
    began: float = field(default_factory=time.monotonic)
    deadline: asyncio.TimerHandle | None = None
    #: The seconds to the deadline, while debuggers have stopped the invocation.
    seconds_left: float | None = None
    #: The token and state that the invocation is given, where it belongs to an execution.
    deliver: Deliver | None = None
    #: Set once the deadline has passed.
    timed_out: bool = False
    #: The lines that the worker wrote, where its result came too late.
    late_output: Sequence[OutputLine] = ()
    #: The loop's time when the last checkpoint came.
    last_checkpoint: float | None = None

    def note(self, stacks: Stacks) -> None:
        """Keep what the worker was doing, unless the lease has ended meanwhile."""
        if self.subject.lease is self:
            self.invocation.stacks = stacks


Subject = Run | Call | PlainInvocation | Copy
"""The kinds of things that an invocation can be for."""
