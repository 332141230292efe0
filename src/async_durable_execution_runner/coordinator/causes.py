"""Why an invocation failed, in Lambda's words: the error of its `InvocationCompleted`.

The message is Lambda's; the last lines that the worker wrote, and what it was doing when its
time was up, travel as the stack trace.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ..core.model import ErrorObject, OutputLine
from .stacks import Stacks

#: Enough for the stack that a fatal signal leaves, innermost frame first.
_LAST_LINES = 50
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


class ExitCause(Enum):
    EXITED = "exited"
    SIGNALED = "signaled"
    MEMORY = "memory"
    NOT_STARTED = "not started"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """How a worker ended, as its host reports it."""

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


def timed_out(
    request_id: str, seconds: float, output: Sequence[OutputLine], stacks: Stacks | None = None
) -> ErrorObject:
    trace = [*(_last(output) or ()), *(stacks.brief if stacks else ())]
    return ErrorObject(
        f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds",
        "Sandbox.Timedout",
        stack_trace=tuple(trace) or None,
    )


def died(request_id: str, exit: WorkerExit) -> ErrorObject:
    reason = "Runtime exited without providing a reason"
    if exit.cause is not ExitCause.EXITED or exit.exit_code:
        reason = f"Runtime exited with error: {exit}"
    memory = exit.cause is ExitCause.MEMORY
    return ErrorObject(
        f"RequestId: {request_id} Error: {reason}",
        "Runtime.OutOfMemory" if memory else "Runtime.ExitError",
        stack_trace=_last(exit.output),
    )


def _signal_name(number: int) -> str:
    try:
        known = signal.Signals(number)
    except ValueError:
        return str(number)
    return _SIGNALS.get(known, known.name)


def _last(output: Sequence[OutputLine]) -> tuple[str, ...] | None:
    return tuple(line.text for line in output[-_LAST_LINES:]) or None
