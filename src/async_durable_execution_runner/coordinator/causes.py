"""Errors that say why an invocation failed, in Lambda's words, for its `InvocationCompleted`.

The message is Lambda's. The stack trace holds the last lines that the worker wrote, and what the
worker was doing when the time was up.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.model import ErrorObject, OutputLine
from .workers import ExitCause, Stacks, WorkerExit

#: The number of lines, enough for the stack that a fatal signal leaves, innermost frame first.
_LAST_LINES = 50


def timed_out(
    request_id: str, seconds: float, output: Sequence[OutputLine], stacks: Stacks | None = None
) -> ErrorObject:
    """Make the error of an invocation that was cut off after `seconds`.

    Args:
        output: The lines that the worker wrote.
        stacks: What the worker was doing, if that is known.
    """
    trace = [*(_last(output) or ()), *(stacks.brief if stacks else ())]
    return ErrorObject(
        f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds",
        "Sandbox.Timedout",
        stack_trace=tuple(trace) or None,
    )


def died(request_id: str, exit: WorkerExit) -> ErrorObject:
    """Make the error of an invocation whose worker ended."""
    reason = "Runtime exited without providing a reason"
    if exit.cause is not ExitCause.EXITED or exit.exit_code:
        reason = f"Runtime exited with error: {exit}"
    memory = exit.cause is ExitCause.MEMORY
    return ErrorObject(
        f"RequestId: {request_id} Error: {reason}",
        "Runtime.OutOfMemory" if memory else "Runtime.ExitError",
        stack_trace=_last(exit.output),
    )


def _last(output: Sequence[OutputLine]) -> tuple[str, ...] | None:
    return tuple(line.text for line in output[-_LAST_LINES:]) or None
