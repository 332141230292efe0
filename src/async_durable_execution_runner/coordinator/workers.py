"""The plain records that the pool deals with: functions and their jobs, hosts and workers, how a
worker ended and what it was doing.

Nothing in this module acts, and nothing in it knows of executions.
"""

from __future__ import annotations

import signal
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .. import log
from ..core.model import DEFAULT_PLACE, Isolation, OutputLine, Place

VERSION = "$LATEST"

#: How many lines of a dump go into an error.
_SHOWN_LINES = 12
_MIB = 1024 * 1024

#: How Go, which Lambda's runtime is written in, spells the signals that kill.
_SIGNALS = {
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "interrupt",
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hangup",
    signal.SIGPIPE: "broken pipe",
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function as it was registered. `code` goes to workers as it came, without being read."""

    id: str
    name: str
    durable: bool
    timeout_seconds: float
    memory_mb: int
    enforce_memory: bool
    environment: dict[str, str]
    isolation: Isolation
    execution_timeout_seconds: int
    code: Any
    version: str = VERSION
    #: The format of what is logged: "JSON", "Text" or, where none was chosen, "".
    log_format: str = ""
    #: How many days an execution is remembered after its end; with 0, as long as its workspace is
    #: open.
    retention_days: int = 0
    #: Warm workers serve the functions of one group only; "" for those without a group.
    process_group: str = ""
    place: Place = DEFAULT_PLACE

    @property
    def arn(self) -> str:
        return self.place.arn(self.name)

    @property
    def qualifier(self) -> str:
        """The alias or version under which the function was registered, if any."""
        return self.name.partition(":")[2]

    def is_reached_as(self, other: Function) -> bool:
        """Return whether this function is `other` or an alias of it, as there is one version."""
        return other.name in (self.name, self.name.partition(":")[0])


Labels = frozenset[tuple[str, str]]
"""What the labels of a worker host must have: names with their values."""


@dataclass(slots=True, eq=False)
class Share:
    """One workspace's share of the pool: the jobs that wait, and how many are leased."""

    workspace_id: str
    #: How many jobs of the share may be leased at once.
    workers: int
    #: The jobs that wait, oldest first.
    queue: deque[Job] = field(default_factory=deque)
    #: How many jobs of the queue need a process, by what its host must have; an inline job waits
    #: for a thread of its test.
    need_processes: Counter[Labels] = field(default_factory=Counter)
    leased: int = 0

    def add(self, job: Job) -> None:
        self.queue.append(job)
        if not job.inline:
            self.need_processes[job.labels] += 1

    def take(self, place: int) -> Job:
        job = self.queue[place]
        del self.queue[place]
        if not job.inline:
            self.need_processes[job.labels] -= 1
            if not self.need_processes[job.labels]:
                del self.need_processes[job.labels]
        return job

    def clear(self) -> None:
        self.queue.clear()
        self.need_processes.clear()


@dataclass(slots=True, eq=False)
class Job:
    """An invocation that is to be leased to a worker."""

    request_id: str
    share: Share
    function: Function
    #: The execution, which keeps its worker if it is isolated; "" for a plain function.
    execution_arn: str
    #: What the labels of the worker's host must have.
    labels: Labels = frozenset()
    #: Whether the execution ended before its handler, so that the job does not count in its share.
    outlived: bool = False

    @property
    def inline(self) -> bool:
        return self.function.isolation is Isolation.INLINE

    @property
    def alone(self) -> bool:
        """Whether the process is for this invocation only, as it is for a plain function where
        executions are isolated."""
        isolation = self.function.isolation
        return isolation is Isolation.INVOCATION or (
            isolation is Isolation.EXECUTION and not self.execution_arn
        )

    def __str__(self) -> str:
        whose = log.short(self.execution_arn) or f"function {self.function.name!r}"
        return f"invocation {log.short(self.request_id)} of {whose}"


class WorkerState(Enum):
    STARTING = "starting"
    IDLE = "idle"
    LEASED = "leased"
    #: The worker's lease is over, and it will be killed; its stacks are taken first.
    DOOMED = "doomed"
    #: The worker's session ended, or it was told to die; its host has not yet reported.
    ENDING = "ending"
    #: The worker is in a handler whose lease has ended. The worker is inline, so that it can only
    #: be waited for, or it is frozen.
    STUCK = "stuck"

    @property
    def shown(self) -> str:
        """The state as people are told it: one of `SHOWN_STATES`."""
        return _SHOWN.get(self, self.value)


_SHOWN = {WorkerState.LEASED: "busy", WorkerState.DOOMED: "ending"}
SHOWN_STATES = tuple(dict.fromkeys(each.shown for each in WorkerState))


@dataclass(slots=True, eq=False)
class ConnectedHost:
    """A worker host, with functions that tell the host what to do."""

    id: str
    pid: int
    slots: int
    labels: dict[str, str]
    start_worker: Callable[[str], None]
    kill_worker: Callable[[str], None]
    limit_memory: Callable[[str, int], None]
    #: Stops the worker, or with False lets the worker go on.
    stop_worker: Callable[[str, bool], None]
    #: Kills the host itself.
    die: Callable[[], None]
    #: Asks for the stacks of a worker and a request; the answer goes to `Inspections`.
    take_stacks: Callable[[str, str], None]
    #: The ids of the workers that were started on the host.
    workers: set[str] = field(default_factory=set)
    #: Whether the host ends once its invocations have ended.
    draining: bool = False

    def has(self, labels: Labels) -> bool:
        """Return whether the host's labels have all of these."""
        return not labels or labels <= self.labels.items()

    def __str__(self) -> str:
        return f"host {self.id}"


@dataclass(slots=True, eq=False)
class Worker:
    """A worker as the pool sees it. An inline worker, a thread of the test, has no host."""

    id: str
    host: ConnectedHost | None
    #: How many starts had failed in a row when this worker was started.
    failed_before: int = 0
    state: WorkerState = WorkerState.STARTING
    #: Whether the worker said hello; nobody else may say hello in its name.
    admitted: bool = False
    pid: int = 0
    inline_workspace_id: str = ""
    job: Job | None = None
    #: Gives the worker its lease; the second argument says whether the worker needs the code.
    send: Callable[[Job, bool], None] | None = None
    #: The ids of the functions whose code the worker has, each with the id of its workspace.
    functions: dict[str, str] = field(default_factory=dict)
    served: int = 0
    #: The group of the functions that the worker serves.
    process_group: str = ""
    #: The execution that has the worker for itself; "" where the worker serves any execution.
    bound_to: str = ""
    #: The limit in bytes; 0 for no limit.
    memory_limit: int = 0
    last_request_id: str = ""
    #: The execution that the worker served last; "" for a plain function.
    last_execution: str = ""
    #: Why the worker has to end after its current job, for the log; "" where it may go on.
    retired: str = ""
    #: Why the coordinator has ended the worker, as `Tallies` has it; "" where it has not.
    ended_for: str = ""
    #: How many debuggers have stopped the worker's handler.
    stops: int = 0
    #: Set where the worker was stopped by a fault; called when the worker is gone.
    frozen: Callable[[Worker], None] | None = None

    def __str__(self) -> str:
        return f"{'' if self.host else 'inline '}worker {log.short(self.id)}"


class ExitCause(Enum):
    EXITED = "exited"
    SIGNALED = "signaled"
    MEMORY = "memory"
    NOT_STARTED = "not started"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """The end of a worker, as its host reports it."""

    cause: ExitCause
    exit_code: int = 0
    signal: int = 0
    detail: str = ""
    output: tuple[OutputLine, ...] = ()
    output_truncated: bool = False
    peak_memory_bytes: int = 0

    def __str__(self) -> str:
        match self.cause:
            case ExitCause.EXITED:
                return f"exit status {self.exit_code}"
            case ExitCause.SIGNALED:
                return f"signal: {_signal_name(self.signal)}"
            case ExitCause.MEMORY:
                used = self.peak_memory_bytes // _MIB
                return f"signal: killed: out of memory ({used} MiB used)"
            case _:
                return self.detail or self.cause.value


def _signal_name(number: int) -> str:
    try:
        known = signal.Signals(number)
    except ValueError:
        return str(number)
    return _SIGNALS.get(known, known.name)


@dataclass(frozen=True, slots=True)
class Stacks:
    """The stacks of a worker's threads and tasks at two moments, as the worker's host tells them.

    Each dump has the user's own frames first. `verdict` says in one line whether the worker is
    stuck. `output` is what the invocation had written by then.
    """

    dumps: tuple[str, ...]
    verdict: str
    output: tuple[OutputLine, ...] = ()

    @property
    def brief(self) -> tuple[str, ...]:
        """The verdict and the top of the last dump."""
        return (self.verdict, *(line for dump in self.dumps[-1:] for line in _top(dump)))


def _top(dump: str) -> list[str]:
    lines = dump.splitlines()
    left_out = len(lines) - _SHOWN_LINES
    return [*lines[:_SHOWN_LINES], f"… {left_out} more lines"] if left_out > 1 else lines
