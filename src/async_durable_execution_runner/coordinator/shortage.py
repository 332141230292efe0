"""What a queued invocation waits for, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..core.model import Isolation
from .workers import ConnectedHost, Labels, Share, Worker, WorkerState


def shortage(
    share: Share,
    isolation: Isolation,
    labels: Labels,
    workers: Collection[Worker],
    hosts: Collection[ConnectedHost],
    trouble: str,
) -> str:
    """Return what a queued job waits for, as the end of a sentence.

    Args:
        share: The share that the job is of.
        isolation: The isolation of the job's function.
        labels: What the labels of the job's host must have.
        workers: All workers.
        hosts: All hosts that are connected.
        trouble: Why no worker can be started; "" where one can.
    """
    if isolation is Isolation.INLINE:
        mine = [worker for worker in workers if worker.inline_workspace_id == share.workspace_id]
        if not mine:
            return "an inline worker, which is being started"
        stuck = [worker.id for worker in mine if worker.state is WorkerState.STUCK]
        if not stuck:
            return f"a free inline worker: {len(mine)} of {len(mine)} are busy"
        return (
            f"a free inline worker: {len(stuck)} of {len(mine)} are in handlers that passed "
            "their deadline, which a thread cannot be stopped from; use another isolation for "
            f"these: {', '.join(stuck)}"
        )
    if trouble:
        return f"a worker, but none can be started: {trouble}"
    if not hosts:
        return (
            "a worker host, but none is connected; start one with "
            "`durable-runner worker-host --connect ADDRESS`"
        )
    fitting = [host for host in hosts if host.has(labels)]
    if not fitting:
        wanted = _shown(sorted(labels))
        there = "; ".join(_shown(sorted(host.labels.items())) for host in hosts)
        return f"a worker host with {wanted}, but there is none: those that are have {there}"
    hosts = fitting
    if share.leased < share.workers:
        if any(worker.state is WorkerState.STARTING for worker in workers):
            return "a worker, which is being started"
        slots = sum(host.slots for host in hosts)
        return f"a free worker: {slots} of {slots} are busy, those of other runners included"
    return f"a free worker: {share.leased} of this runner's {share.workers} are busy"


def _shown(labels: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name}={value}" for name, value in labels) or "no labels"
