"""`WorkerPool`: knows which workers there are, who holds a lease, and who gets the next one.

The pool starts workers through their hosts when work waits, kills workers on command, and says
when a lease was lost. The pool knows nothing of executions' contents.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from .. import log
from ..core.model import Isolation
from .lost import LostHosts
from .matching import fitness, free_slots, isolated, missing, without_work
from .shortage import shortage
from .tallies import DEADLINE, DISMISSED, HOST_LOST, Tallies
from .workers import (
    ConnectedHost,
    ExitCause,
    Job,
    Labels,
    Share,
    Worker,
    WorkerExit,
    WorkerState,
)

#: After this many workers in a row that died before they said hello, no more are started.
_FAILED_STARTS = 3
#: A process that has loaded this many functions of closed runners ends, as what belongs to them
#: stays in it.
_MOST_CLOSED = 50
#: The warm workers of so many groups, those that served last, outlive the runners that had them.
_WARM_GROUPS = 4
#: Seconds that a host has to say why a worker's session ended.
_EXIT_REPORT_SECONDS = 2.0


class WorkerPool:
    def __init__(
        self,
        new_id: Callable[[], str],
        leased: Callable[[Job, Worker], bool],
        lost: Callable[[Job, Worker, WorkerExit], None],
        unavailable: Callable[[str], None],
    ) -> None:
        """Make a pool that reports to these functions.

        Args:
            new_id: Makes the ids of workers.
            leased: Called when a worker is about to get a job; returns whether the job is still
                wanted.
            lost: Called when a worker ended that held a lease.
            unavailable: Called, with the reason, when no worker can be started.
        """
        self._new_id = new_id
        self._leased = leased
        self._lost = lost
        self._unavailable = unavailable
        self.hosts: dict[str, ConnectedHost] = {}
        self.lost = LostHosts()
        #: Whether a process more than is needed is started for isolated executions, as hosts may be
        #: far away.
        self.starts_ahead = False
        self.tallies = Tallies()
        self.workers: dict[str, Worker] = {}
        #: The adapters of SDKs that workers are forked with, as functions need them.
        self.sdks: set[str] = set()
        #: Whether workers are forked with coverage imported, as some function is measured.
        self.coverage = False
        #: The shares by workspace; the share that had its turn last is at the end.
        self.shares: dict[str, Share] = {}
        #: Whether jobs were submitted since the last dispatch.
        self.unmatched = False
        self.trouble = ""
        self._failed_starts = 0
        #: The groups of the workers, the one that served last at the end.
        self._groups: dict[str, None] = {}
        self._say = log.info(__name__)
        #: The jobs that were submitted since the last dispatch; kept only where there is a log.
        self._submitted: list[Job] = []

    # -- work ------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Queue the job; `dispatch` is to be called when the turn that asks for it is over."""
        job.share.add(job)
        self.unmatched = True
        if self._say is not None:
            self._submitted.append(job)

    @property
    def queued(self) -> int:
        return sum(len(share.queue) for share in self.shares.values())

    def shortage(self, share: Share, isolation: Isolation, labels: Labels) -> str:
        """Return what a queued job of this share waits for, as the end of a sentence."""
        workers, hosts = self.workers.values(), self.hosts.values()
        return shortage(share, isolation, labels, workers, hosts, self.trouble)

    def withdraw(self, share: Share) -> None:
        """Drop the share with its queued jobs, and kill the workers that run its other jobs."""
        if (say := self._say) is not None and share.queue:
            say("%d queued invocations are dropped: their runner was closed", len(share.queue))
        del self.shares[share.workspace_id]
        share.clear()
        for worker in list(self.workers.values()):
            if worker.job is not None and worker.job.share is share:
                self.end_lease(worker)
                self.kill(worker, "its runner was closed")
        self._retire_old()
        self.dispatch()

    def finish(self, worker: Worker, request_id: str) -> Job | None:
        """End the lease of a worker that sent a result; return its job, or None where the lease
        had ended before."""
        if worker.state is WorkerState.STUCK and request_id == worker.last_request_id:
            if worker.host is None:
                self._idle(worker)
            else:
                self.kill(worker, "it returned from an invocation that was over")
            return None
        job = worker.job
        if job is None or job.request_id != request_id or worker.state is not WorkerState.LEASED:
            return None
        self.end_lease(worker)
        if (say := self._say) is not None:
            say("%s: returned by %s", job, worker)
        if job.alone or worker.retired:
            self.kill(worker, "it was for this invocation" if job.alone else worker.retired)
        else:
            self._idle(worker)
        return job

    def end_lease(self, worker: Worker) -> None:
        """Take the job from the worker, if it has one."""
        if worker.job is not None:
            worker.job.share.leased -= not worker.job.outlived
            worker.job = None

    def abandon(self, worker: Worker) -> None:
        """End the lease of a worker that still runs the handler: kill the worker, or wait for it
        if it is inline or frozen."""
        if worker.host is None or worker.frozen is not None:
            self.end_lease(worker)
            worker.state = WorkerState.STUCK
            if (say := self._say) is not None:
                say("%s: stuck, its lease is over and its handler goes on", worker)
            self.dispatch()
        else:
            self.kill(worker, "its lease is over", DEADLINE)

    def doom(self, worker: Worker) -> None:
        """Give the worker nothing more to do, as its lease is over and `kill` will follow."""
        worker.state = WorkerState.DOOMED

    def kill(self, worker: Worker, why: str, cause: str = DISMISSED) -> None:
        """Ask the worker's host to kill the worker; `lost` follows if it holds a lease.

        Args:
            worker: The worker.
            why: The reason for the log, as the end of a sentence.
            cause: The cause of its end for `Tallies`; "" where its host is to say it.
        """
        if (say := self._say) is not None and worker.state is not WorkerState.ENDING:
            say("%s: to be killed, %s", worker, why)
        if worker.host is None:
            worker.state = WorkerState.STUCK
        elif worker.state is not WorkerState.ENDING:
            worker.state = WorkerState.ENDING
            worker.ended_for = cause
            worker.host.kill_worker(worker.id)
            asyncio.get_running_loop().call_later(_EXIT_REPORT_SECONDS, self._unreported, worker)

    def freeze(self, worker: Worker, gone: Callable[[Worker], None]) -> None:
        """Stop the worker's process; `gone` is called when the process has ended."""
        assert worker.host is not None
        worker.frozen = gone
        if (say := self._say) is not None:
            say("%s: frozen", worker)
        worker.host.stop_worker(worker.id, True)

    def thaw(self, worker: Worker) -> None:
        """Let a worker go on that was stopped by `freeze`."""
        if self.workers.get(worker.id) is worker and worker.host is not None:
            if (say := self._say) is not None:
                say("%s: goes on", worker)
            worker.host.stop_worker(worker.id, False)

    def release(self, execution_arn: str) -> None:
        """Kill the process of an execution that has ended, if it had a process of its own."""
        for worker in list(self.workers.values()):
            if worker.bound_to == execution_arn and worker.job is None:
                self.kill(worker, "its execution has ended")

    def outlive(self, worker: Worker, execution_arn: str) -> None:
        """Let the runner have another worker in place of one whose handler still runs, though its
        execution has ended."""
        job = worker.job
        if job is not None and job.execution_arn == execution_arn and not job.outlived:
            job.outlived = True
            job.share.leased -= 1
            asyncio.get_running_loop().call_soon(self.dispatch)

    def retire(self, function_ids: set[str]) -> None:
        """Let no process serve again that has loaded one of these functions, as the code may have
        changed."""
        for worker in list(self.workers.values()):
            if worker.functions.keys() & function_ids:
                self._retire(worker, "its code has changed")

    def retire_on(self, host: ConnectedHost) -> None:
        """Let no process of the host serve again that has loaded a function, as files that they
        import from have changed there."""
        for worker in [self.workers[each] for each in host.workers]:
            if worker.functions:
                self._retire(worker, "code has changed on its host")

    def _retire_old(self) -> None:
        """Let no process serve again that nobody, or too many, had before."""
        open_ids, in_use = self.shares.keys(), set()
        for worker in list(self.workers.values()):
            closed = sum(each not in open_ids for each in worker.functions.values())
            if closed >= _MOST_CLOSED:
                self._retire(worker, "it has loaded many functions of closed runners")
            if closed < len(worker.functions):
                in_use.add(worker.process_group)
        for group in [each for each in self._groups if each not in in_use][:-_WARM_GROUPS]:
            del self._groups[group]
            for worker in list(self.workers.values()):
                idle = worker.state is WorkerState.IDLE and not worker.bound_to
                if idle and worker.served and worker.process_group == group:
                    self.kill(worker, "it served other surroundings than runners have had lately")

    def _retire(self, worker: Worker, why: str) -> None:
        """Kill the worker's process, if it has one, as soon as it is idle."""
        if worker.host is not None:
            worker.retired = why
            if worker.state is WorkerState.IDLE:
                self.kill(worker, why)

    # -- hosts and workers come and go -----------------------------------------------------

    def add_host(self, host: ConnectedHost) -> None:
        """Use a host that has connected, and forget that workers could not be started."""
        if (say := self._say) is not None:
            say("%s: joined with %d slots (pid %d)", host, host.slots, host.pid)
        self.hosts[host.id] = host
        self.lost.replaced_by(host)
        self.trouble = ""
        self._failed_starts = 0
        self.dispatch()

    def remove_host(self, host: ConnectedHost) -> None:
        """Drop a host whose stream has ended, and its workers, on which nobody reports any more."""
        if self.hosts.get(host.id) is host:
            del self.hosts[host.id]
            if not host.draining:
                self.lost.add(host)
            if (say := self._say) is not None:
                say("%s: left, and with it %d workers", host, len(host.workers))
        for worker in [each for each in self.workers.values() if each.host is host]:
            exit = WorkerExit(ExitCause.UNKNOWN, detail="its worker host went away")
            worker.ended_for = worker.ended_for or HOST_LOST
            self._gone(worker, exit)

    def drain(self, host: ConnectedHost) -> None:
        """Give a host nothing more to do, and kill each of its workers once it is idle."""
        if (say := self._say) is not None:
            say("%s: drains, with %d workers", host, len(host.workers))
        host.draining = True
        for worker in [self.workers[each] for each in host.workers]:
            self._retire(worker, "its host drains")
        self.dispatch()

    def greet(self, worker: Worker, pid: int, send: Callable[[Job, bool], None]) -> None:
        """Use a worker whose session is open; `send` gives it a job."""
        if worker.host is not None:
            self._failed_starts = 0
            self.trouble = ""
        worker.pid = pid
        worker.send = send
        if (say := self._say) is not None:
            say("%s: ready (pid %d)", worker, pid)
        if worker.retired:
            self.kill(worker, worker.retired)
        else:
            self._idle(worker)

    def add_inline(self, worker: Worker) -> None:
        self.workers[worker.id] = worker

    def session_ended(self, worker: Worker) -> None:
        """Take the end of a worker's session, the first sign of its death. The worker's host is to
        report the cause; without a report within a while the cause stays unknown."""
        if self.workers.get(worker.id) is not worker:
            return
        if worker.host is None:
            self._gone(worker, WorkerExit(ExitCause.UNKNOWN, detail="the inline worker went away"))
        else:
            self.kill(worker, "its session has ended", "")

    def _unreported(self, worker: Worker) -> None:
        if self.workers.get(worker.id) is worker:
            why = "it is gone and its worker host does not say why"
            self._gone(worker, WorkerExit(ExitCause.UNKNOWN, detail=why))

    def worker_exited(self, worker_id: str, exit: WorkerExit) -> None:
        """Take a host's report that a worker has ended."""
        worker = self.workers.get(worker_id)
        if worker is None:
            return
        # Workers that were started together count as one failure, as one cause may end them all.
        if worker.send is None and worker.failed_before == self._failed_starts:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                lines = "".join(f"\n  {line.text}" for line in exit.output[-5:])
                self.trouble = (
                    f"{_FAILED_STARTS} workers in a row ended before they were ready, "
                    f"the last with {exit}.{lines}"
                )
        self._gone(worker, exit)
        if self.trouble:
            if (say := self._say) is not None:
                say("no worker is started any more: %s", self.trouble.partition("\n")[0])
            self._unavailable(self.trouble)

    def _gone(self, worker: Worker, exit: WorkerExit) -> None:
        del self.workers[worker.id]
        if worker.host is not None:
            worker.host.workers.discard(worker.id)
            self.tallies.worker_exits[worker.ended_for or exit.cause.name.lower()] += 1
        job = worker.job
        if (say := self._say) is not None:
            held = "" if job is None else f"; it had {job}"
            say("%s: gone (pid %d), %s%s", worker, worker.pid, exit, held)
        self.end_lease(worker)
        if job is not None:
            self._lost(job, worker, exit)
        if worker.frozen is not None:
            worker.frozen(worker)
        self.dispatch()

    def _idle(self, worker: Worker) -> None:
        worker.state = WorkerState.IDLE
        if (say := self._say) is not None:
            say("%s: idle", worker)
        self.dispatch()

    # -- matching --------------------------------------------------------------------------

    def dispatch(self) -> None:
        """Lease waiting jobs to idle workers, shares in turn; start workers for the rest."""
        self.unmatched = False
        idle = sum(worker.state is WorkerState.IDLE for worker in self.workers.values())
        turns = deque(each for each in self.shares.values() if each.queue)
        while idle and turns:
            share = turns.popleft()
            if match := self._match(share):
                idle -= self._lease(*match)
                turns.append(share)
                self.shares[share.workspace_id] = self.shares.pop(share.workspace_id)
        self._start_workers()
        if self._submitted:
            self._say_queued()

    def _say_queued(self) -> None:
        """Log what each submitted job waits for, if it waits."""
        submitted, self._submitted = self._submitted, []
        for job in submitted:
            if self._say is not None and job in job.share.queue:
                before = job.share.queue.index(job)
                place = f"queued behind {before}" if before else "queued"
                # The remedy and the workers' output belong to errors, not to the log.
                why = self.shortage(job.share, job.function.isolation, job.labels)
                why = why.split("\n")[0].split(";")[0]
                self._say("%s: %s, waits for %s", job, place, why)

    def _match(self, share: Share) -> tuple[Job, Worker] | None:
        """Take the oldest job that an idle worker fits from the share's queue."""
        if share.leased < share.workers:
            for place, job in enumerate(share.queue):
                if worker := self._choose(job):
                    return share.take(place), worker
        return None

    def _lease(self, job: Job, worker: Worker) -> bool:
        if not self._leased(job, worker):
            return False
        self.tallies.leases_granted += 1
        worker.state = WorkerState.LEASED
        worker.job = job
        worker.last_request_id = job.request_id
        worker.last_execution = job.execution_arn
        job.share.leased += 1
        worker.served += 1
        group = worker.process_group = job.function.process_group
        self._groups.pop(group, None)
        self._groups[group] = None
        if job.function.isolation is Isolation.EXECUTION:
            worker.bound_to = job.execution_arn
        limit = job.function.memory_mb * 1024 * 1024 if job.function.enforce_memory else 0
        if worker.host is not None and limit != worker.memory_limit:
            worker.memory_limit = limit
            worker.host.limit_memory(worker.id, limit)
        needs_code = job.function.id not in worker.functions
        worker.functions[job.function.id] = job.share.workspace_id
        assert worker.send is not None
        worker.send(job, needs_code)
        return True

    def _choose(self, job: Job) -> Worker | None:
        """Return the idle worker that fits the job best, None where none fits. Of those that fit
        as well, it is one on the host that has the most places without work."""
        best: Worker | None = None
        best_rank = (-1, 0)
        for worker in self.workers.values():
            if worker.state is WorkerState.IDLE and (fit := fitness(worker, job)) >= 0:
                rank = fit, without_work(worker.host, self.workers) if len(self.hosts) > 1 else 0
                if rank > best_rank:
                    best, best_rank = worker, rank
        return best

    def _start_workers(self) -> None:
        """Start a worker for each job that may be leased now and finds no worker."""
        for labels, count in missing(self.shares.values(), self.workers.values()).items():
            while count > 0 and not self.trouble and self._start_one(labels):
                count -= 1
        if self.starts_ahead:
            for labels in isolated(self.workers.values()):
                self._keep_one_fresh(labels)

    def _keep_one_fresh(self, labels: Labels) -> None:
        """Have a process start now for the next execution that needs one of its own: a start takes
        several round trips."""
        hosts = [each for each in self.hosts.values() if each.has(labels)]
        fresh = any(not each.served and each.host in hosts for each in self.workers.values())
        if not fresh and any(free_slots(each, self.workers) > 0 for each in hosts):
            self._start_one(labels)

    def prepare(self, count: int, group: str = "") -> None:
        """Start worker processes until there are `count` that may serve the group, before there is
        work for them."""
        missing = count - sum(
            worker.host is not None and (not worker.served or worker.process_group == group)
            for worker in self.workers.values()
        )
        while missing > 0 and not self.trouble and self._start_one():
            missing -= 1

    def _start_one(self, labels: Labels = frozenset()) -> bool:
        hosts = [each for each in self.hosts.values() if each.has(labels)]
        host = max(hosts, key=lambda each: free_slots(each, self.workers), default=None)
        if host is None:
            return False
        if free_slots(host, self.workers) <= 0:
            self._make_room(host)
            return False
        worker = Worker(self._new_id(), host, self._failed_starts)
        self.workers[worker.id] = worker
        host.workers.add(worker.id)
        if (say := self._say) is not None:
            say("%s: starting on %s", worker, host)
        host.start_worker(worker.id)
        return True

    def _make_room(self, host: ConnectedHost) -> None:
        """Kill an idle worker of a full host, as isolated executions may need fresh workers."""
        workers = [worker for worker in self.workers.values() if worker.host is host]
        going = (WorkerState.DOOMED, WorkerState.ENDING)
        if not any(worker.state in going for worker in workers):
            idle = [each for each in workers if each.state is WorkerState.IDLE]
            # A worker that is bound to a suspended execution is the last choice.
            if worker := min(idle, key=lambda each: bool(each.bound_to), default=None):
                self.kill(worker, "its host is full and an invocation needs another")
