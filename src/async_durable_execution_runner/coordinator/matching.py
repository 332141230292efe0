"""Which worker fits which job, and where workers are missing. Nothing here acts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ..core.model import Isolation
from .workers import ConnectedHost, Job, Labels, Share, Worker, WorkerState


def missing(shares: Iterable[Share], workers: Iterable[Worker]) -> Counter[Labels]:
    """Return how many workers the jobs need that may be leased now, beside those that are being
    started, by what the labels of their hosts must have."""
    found: Counter[Labels] = Counter()
    for share in shares:
        left = share.workers - share.leased
        for labels, count in share.need_processes.items():
            found[labels] += min(count, left)
            left -= min(count, left)
    for worker in workers:
        if worker.state is WorkerState.STARTING and worker.host is not None:
            fitting = [each for each in found if found[each] and worker.host.has(each)]
            if fitting:
                found[max(fitting, key=len)] -= 1
    return found


def isolated(workers: Iterable[Worker]) -> set[Labels]:
    """Return what the labels of hosts must have for the jobs of workers that serve nothing else."""
    alone = (Isolation.EXECUTION, Isolation.INVOCATION)
    jobs = (each.job for each in workers if each.job is not None)
    return {job.labels for job in jobs if job.function.isolation in alone}


def free_slots(host: ConnectedHost, workers: Mapping[str, Worker]) -> int:
    """Return how many more workers may be started on a host."""
    if host.draining:
        return 0
    # A worker that is frozen, or whose handler outlives its execution, is to be overtaken by
    # another, for which there must be a place. One that is in a debugger is not to hold up
    # others, whose time goes on.
    here = [workers[each] for each in host.workers]
    idle = sum(
        each.frozen is not None or each.stops > 0 or (each.job is not None and each.job.outlived)
        for each in here
    )
    return host.slots - len(here) + idle


def without_work(host: ConnectedHost | None, workers: Mapping[str, Worker]) -> int:
    """Return how many places of a host have no job; 0 for an inline worker, which has no host."""
    if host is None:
        return 0
    return host.slots - sum(workers[each].job is not None for each in host.workers)


def fitness(worker: Worker, job: Job) -> int:
    """Return how well an idle worker fits the job; -1 where it does not fit at all."""
    if worker.host is not None and not worker.host.has(job.labels):
        return -1
    if job.inline:
        return 0 if worker.inline_workspace_id == job.share.workspace_id else -1
    if worker.inline_workspace_id:
        return -1
    if worker.bound_to:
        return 3 if worker.bound_to == job.execution_arn else -1
    if job.function.isolation is Isolation.WORKER:
        if worker.served and worker.process_group != job.function.process_group:
            return -1
        if job.execution_arn and worker.last_execution == job.execution_arn:
            return 3
        return 2 if job.function.id in worker.functions else 1 if worker.served else 0
    return 0 if worker.served == 0 else -1
