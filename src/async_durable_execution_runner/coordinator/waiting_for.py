"""Says in words what an execution waits for, for the time-outs that a caller sees and the log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from ..core.model import Operation, OperationType
from .leases import Leases
from .runs import Call, Lease, Run

#: How many functions of a chain of invocations are named.
_NAMED = 4


def waiting_for(leases: Leases, run: Run) -> str:
    """Return what `run` waits for, as part of a sentence: "callback 'approval' (…)"."""
    if run.execution.ended:
        return f"nothing: it ended {run.execution.status.value}"
    if run.lease is not None:
        invocation = run.lease.invocation
        elapsed = (run.now - invocation.start_ms) / 1000
        heard = ""
        if run.lease.last_checkpoint is not None:
            silent = asyncio.get_running_loop().time() - run.lease.last_checkpoint
            heard = f", its last checkpoint {silent:.1f} s ago"
        return (
            f"invocation {len(run.invocations)} (request id {invocation.request_id}), which has "
            f"been running for {elapsed:.1f} s of {run.function.timeout_seconds:g} s "
            f"on worker {invocation.worker_id} (pid {invocation.pid}){heard}{_doing(run.lease)}"
        )
    if not run.execution.suspended:
        return leases.pool.shortage(run.workspace.share, run.function.isolation, run.labels)
    parts = [_operation(leases, run, operation) for operation in run.execution.waiting]
    timer = run.execution.next_timer()
    if not parts and timer is not None:
        parts = [f"its {timer[0].kind.value}, due at {clock_time(timer[1])}"]
    return "; ".join(parts) or "nothing that is known"


def _operation(leases: Leases, run: Run, operation: Operation) -> str:
    label = run.label(operation)
    match operation.type:
        case OperationType.CALLBACK:
            return f"{label}, unanswered (callback id {operation.callback_id})"
        case OperationType.WAIT:
            return f"{label} until {clock_time(operation.scheduled_end_ms)} of its own time"
        case OperationType.STEP:
            return f"the next attempt of {label} at {clock_time(operation.next_attempt_ms)}"
        case _:
            return f"the {label}{_callee(leases, run, operation)}"


def _callee(leases: Leases, run: Run, operation: Operation) -> str:
    if chain := _chain(run, operation):
        last = chain[-1]
        deep = f", chained {len(chain)} deep: {_path([run, *chain])}" if len(chain) > 1 else ""
        return f"{deep}, whose execution {last.arn} waits for {waiting_for(leases, last)}"
    for lease in leases.of_family(run.family):
        call = lease.subject
        if isinstance(call, Call) and (call.parent, call.operation_id) == (run, operation.id):
            return f", a plain function on worker {lease.worker.id}{_doing(lease)}"
    return ", a plain function that has not returned"


def _chain(run: Run, operation: Operation) -> list[Run]:
    """Return the execution that `operation` has invoked, then the one that this has invoked and
    waits for, and so on to the last; empty where `operation` has invoked no execution."""
    invoked = {child.parent: child for child in run.family.runs.values()}
    chain = []
    child = invoked.get((run, operation.id))
    while child is not None:
        chain.append(child)
        waiting = child.execution.waiting if child.execution.suspended else []
        below = (invoked.get((child, each.id)) for each in waiting)
        child = next((each for each in below if each is not None), None)
    return chain


def _path(chain: Sequence[Run]) -> str:
    names = [each.function.name for each in chain[:_NAMED]]
    return " → ".join([*names, "…"] if len(chain) > _NAMED else names)


def _doing(lease: Lease) -> str:
    stacks = lease.invocation.stacks
    return f"; {stacks.verdict}" if stacks is not None else ""


def clock_time(ms: int | None) -> str:
    """Return a moment on an execution's clock, in Unix milliseconds, as date and time."""
    return datetime.fromtimestamp((ms or 0) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
