"""Says what there is: worker hosts, workers, and what each of them runs."""

from __future__ import annotations

import os
import time

from ..rpc.v1 import control_pb2 as pb
from .executor import Executor
from .lost import LostHost
from .runs import Call, Copy, Lease, Run
from .workers import ConnectedHost, Worker


def status(executor: Executor, coordinator_id: str) -> pb.GetStatusResponse:
    pool = executor.pool
    return pb.GetStatusResponse(
        coordinator_id=coordinator_id,
        pid=os.getpid(),
        hosts=map(_host, pool.hosts.values()),
        workers=[_worker(executor, each) for each in pool.workers.values()],
        executions=len(executor.runs),
        queued_invocations=pool.queued,
        trouble=pool.trouble,
        lost_hosts=map(_lost, pool.lost.recent()),
    )


def _host(host: ConnectedHost) -> pb.HostStatus:
    return pb.HostStatus(
        host_id=host.id,
        pid=host.pid,
        slots=host.slots,
        labels=host.labels,
        draining=host.draining,
    )


def _lost(lost: LostHost) -> pb.HostStatus:
    found = _host(lost.host)
    found.lost_ms = _ms_since(lost.at)
    found.lost_workers = lost.workers
    return found


def _worker(executor: Executor, worker: Worker) -> pb.WorkerStatus:
    found = pb.WorkerStatus(
        worker_id=worker.id,
        host_id=worker.host.id if worker.host else "",
        pid=worker.pid,
        state=f"WORKER_STATE_{worker.state.shown.upper()}",
    )
    if worker.job is not None:
        found.request_id = worker.job.request_id
        found.function_name = worker.job.function.name
        found.execution_arn = worker.job.execution_arn
        if (lease := executor.leases.of(worker.job.request_id)) is not None:
            found.invocation = _number(lease)
            found.running_ms = _ms_since(lease.began)
    return found


def _number(lease: Lease) -> int:
    """Return which invocation of its execution the lease is for, or serves."""
    subject = lease.subject
    run = subject.parent if isinstance(subject, Call | Copy) else subject
    return len(run.invocations) if isinstance(run, Run) else 0


def _ms_since(moment: float) -> int:
    return round((time.monotonic() - moment) * 1000)
