"""Waiting for something to become true of an execution, and what the execution itself waits for,
in words: the text of every time-out that a caller sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from ..core.model import Isolation, Operation, OperationType
from ..errors import ResourceNotFound, WorkersUnavailable
from .executor import Executor
from .runs import Call, Lease, Run
from .workers import WorkerState


async def until(
    executor: Executor, run: Run, condition: Callable[[], bool], seconds: float
) -> bool:
    """Wait until `condition` holds of `run`; False when it did not in time.

    Raises `WorkersUnavailable` where no worker can be started, and `ResourceNotFound`
    where the runner was closed meanwhile.
    """
    if condition():
        return True
    try:
        async with asyncio.timeout(seconds):
            while not (await _watch(executor, run, condition) or condition()):
                pass
    except TimeoutError:
        return condition()
    return True


async def _watch(executor: Executor, run: Run, condition: Callable[[], bool]) -> bool:
    """Whether it came true; False where hope has to be checked anew."""
    if run.arn not in executor.runs:
        raise ResourceNotFound("The runner was closed before the execution ended.")
    if executor.pool.trouble and run.workspace.needs_processes:
        raise WorkersUnavailable(f"Workers cannot be started: {executor.pool.trouble}")
    return await run.watch(condition)


def waiting_for(executor: Executor, run: Run) -> str:
    """One sentence part: "callback 'approval' (…)", "a free worker: …", and so on."""
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
        return _worker(executor, run)
    parts = [_operation(executor, run, operation) for operation in run.execution.waiting]
    timer = run.execution.next_timer()
    if not parts and timer is not None:
        parts = [f"its {timer[0].kind.value}, due at {_time(timer[1])}"]
    return "; ".join(parts) or "nothing that is known"


def _worker(executor: Executor, run: Run) -> str:
    pool = executor.pool
    if run.function.isolation is Isolation.INLINE:
        mine = [w for w in pool.workers.values() if w.inline_workspace_id == run.workspace.id]
        stuck = [worker.id for worker in mine if worker.state is WorkerState.STUCK]
        return (
            f"a free inline worker: {len(stuck)} of {len(mine)} are in handlers that passed their "
            "deadline, which a thread cannot be stopped from; use another isolation for these"
            + (f": {', '.join(stuck)}" if stuck else "")
        )
    if pool.trouble:
        return f"a worker, but none can be started: {pool.trouble}"
    if not pool.hosts:
        return (
            "a worker host, but none is connected; start one with "
            "`durable-runner worker-host --connect ADDRESS`"
        )
    share = run.workspace.share
    if share.leased < share.workers:
        if any(worker.state is WorkerState.STARTING for worker in pool.workers.values()):
            return "a worker, which is being started"
        slots = sum(host.slots for host in pool.hosts.values())
        return f"a free worker: the {slots} that there may be are busy, other runners' among them"
    return f"a free worker: {share.leased} of this runner's {share.workers} are busy"


def _operation(executor: Executor, run: Run, operation: Operation) -> str:
    label = f" {operation.name!r}" if operation.name else ""
    match operation.type:
        case OperationType.CALLBACK:
            parent = run.execution.operations.get(operation.parent_id or "")
            if not label and parent is not None and parent.name:
                label = f" of {parent.name!r}"
            return f"callback{label}, unanswered (callback id {operation.callback_id})"
        case OperationType.WAIT:
            return f"wait{label} until {_time(operation.scheduled_end_ms)} of its own time"
        case OperationType.STEP:
            return f"the next attempt of step{label} at {_time(operation.next_attempt_ms)}"
        case _:
            return f"the chained invoke{label}{_callee(executor, run, operation)}"


def _callee(executor: Executor, run: Run, operation: Operation) -> str:
    for child in run.family.runs:
        if child.parent == (run, operation.id):
            return f", whose execution {child.arn} waits for {waiting_for(executor, child)}"
    for lease in executor.leases.of_family(run.family):
        call = lease.subject
        if isinstance(call, Call) and (call.parent, call.operation_id) == (run, operation.id):
            return f", a plain function on worker {lease.worker.id}{_doing(lease)}"
    return ", a plain function that has not returned"


def _doing(lease: Lease) -> str:
    stacks = lease.invocation.stacks
    return f"; {stacks.verdict}" if stacks is not None else ""


def _time(ms: int | None) -> str:
    return datetime.fromtimestamp((ms or 0) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
