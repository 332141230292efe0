"""`Leases`: which worker holds which invocation and until when, and the one end of each.

What an invocation means to its execution is the executor's to know; it is told when one
begins and when it has ended, with what came of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from .. import log
from ..core.divergence import Divergence
from ..core.model import ErrorObject, OutputLine
from ..errors import ResourceNotFound
from . import causes
from .inspections import Inspections
from .pool import WorkerPool
from .runs import Family, InvocationState, Lease, PlainInvocation, Run, Subject, Workspace
from .workers import Function, Job, Stacks, Worker, WorkerExit, WorkerState


class Leases:
    def __init__(
        self,
        new_id: Callable[[], str],
        begins: Callable[[Lease], None],
        overtaken: Callable[[Subject], None],
        ended: Callable[[Lease, str | ErrorObject, Sequence[OutputLine], bool], None],
        unavailable: Callable[[], None],
    ) -> None:
        """What is called: `begins` when a worker is about to be given an invocation; `overtaken`
        when a worker was free for one, but its execution has ended; `ended` when nobody holds
        one any longer, with its output (JSON text, or what it failed with), what it wrote and
        whether that was truncated; `unavailable` when no worker can be started."""
        self._new_id = new_id
        self._begins = begins
        self._overtaken = overtaken
        self._ended = ended
        self._unavailable = unavailable
        self._loop = asyncio.get_running_loop()
        self._subjects: dict[str, Subject] = {}
        self.pool = WorkerPool(new_id, self._leased, self._lost, self._workers_unavailable)
        self.inspections = Inspections()
        self._say = log.info(__name__)

    def submit(self, subject: Subject, function: Function, arn: str, request_id: str = "") -> str:
        """Have it invoked when a worker is free, from the pool's next `dispatch` on; the id of the
        request, a new one unless given."""
        job = Job(request_id or self._new_id(), subject.workspace.share, function, arn)
        self._subjects[job.request_id] = subject
        self.pool.submit(job)
        return job.request_id

    def withdraw(self, workspace: Workspace) -> None:
        """Forget what is asked for in it, and kill workers that are in one of its handlers."""
        self.pool.withdraw(workspace.share)
        for request_id, subject in list(self._subjects.items()):
            if subject.workspace is workspace:
                self._end(request_id, subject)
                if isinstance(subject, PlainInvocation):
                    subject.give_up(ResourceNotFound("The runner was closed."))

    def of(self, request_id: str) -> Lease | None:
        """The lease of an invocation in progress."""
        subject = self._subjects.get(request_id)
        return None if subject is None else subject.lease

    def of_family(self, family: Family) -> list[Lease]:
        """What handlers of the family are in now."""
        subjects = [each for each in self._subjects.values() if each.family is family]
        return [each.lease for each in subjects if each.lease is not None]

    def _workers_unavailable(self, why: str) -> None:
        """The pool can start no worker: nobody need wait any longer."""
        for subject in self._subjects.values():
            if isinstance(subject, PlainInvocation):
                subject.workers_unavailable(why)
        self._unavailable()

    # -- a lease begins --------------------------------------------------------------------

    def _leased(self, job: Job, worker: Worker) -> bool:
        """The pool found a worker: the invocation starts, where it is still wanted."""
        subject = self._subjects.get(job.request_id)
        if subject is None:
            return False
        if subject.overtaken:
            del self._subjects[job.request_id]
            if (say := self._say) is not None:
                say("%s: dropped, its execution has ended", job)
            self._overtaken(subject)
            return False
        invocation = InvocationState(job.request_id, worker.id, worker.pid, subject.now)
        lease = Lease(job, worker, subject, invocation)
        self.set_deadline(lease, job.function.timeout_seconds)
        subject.lease = lease
        if (say := self._say) is not None:
            say("%s: leased to %s", job, worker)
        self._begins(lease)
        return True

    def set_deadline(self, lease: Lease, seconds: float) -> None:
        lease.deadline = self._loop.call_later(seconds, self.deadline_passed, lease)

    # -- a lease ends ----------------------------------------------------------------------

    def returned(
        self,
        worker: Worker,
        request_id: str,
        outcome: str | ErrorObject,
        output: Sequence[OutputLine],
        truncated: bool,
        divergences: Sequence[Divergence] = (),
    ) -> None:
        """A worker sent an invocation's result: JSON text, or what it failed with."""
        lease = self.of(request_id)
        if (
            lease is None
            or lease.worker is not worker
            or lease.timed_out
            # It was killed first, and will be found lost.
            or worker.state is WorkerState.ENDING
        ):
            self.pool.finish(worker, request_id)
            if lease is not None and lease.worker is worker:
                # The result is too late; what it wrote is not with its host any more.
                lease.late_output = output
            return
        if isinstance(lease.subject, Run):
            lease.subject.invocations[-1].divergences = divergences
        # First, so that what follows finds this worker free.
        self.pool.finish(worker, request_id)
        self._complete(lease, outcome, output, truncated)

    def _lost(self, job: Job, worker: Worker, exit: WorkerExit) -> None:
        """The worker ended with the lease in its hand."""
        lease = self.of(job.request_id)
        if lease is None:
            return
        output = (*lease.late_output, *exit.output)
        if lease.timed_out:
            seconds = job.function.timeout_seconds
            error = causes.timed_out(job.request_id, seconds, output, lease.invocation.stacks)
        else:
            error = causes.died(job.request_id, exit)
        self._complete(lease, error, output, exit.output_truncated)

    def deadline_passed(self, lease: Lease, inspect: bool = True) -> None:
        """Its worker has to go; with `inspect`, after a look at what it is doing."""
        lease.timed_out = True
        lease.deadline = None
        if (say := self._say) is not None:
            limit = lease.job.function.timeout_seconds
            say("%s: its time of %g s is over, %s has it", lease.job, limit, lease.worker)
        if lease.worker.host is None or lease.worker.frozen is not None:
            error = causes.timed_out(lease.job.request_id, lease.job.function.timeout_seconds, ())
            self.pool.abandon(lease.worker)
            self._complete(lease, error, (), False)
        elif inspect and (asked := self.inspections.ask(lease)) is not None:
            self.pool.doom(lease.worker)
            asked.add_done_callback(lambda asked: self._inspected(lease, asked.result()))
        else:
            self.pool.abandon(lease.worker)

    def _inspected(self, lease: Lease, stacks: Stacks) -> None:
        lease.note(stacks)
        if (say := self._say) is not None:
            say("%s: was looked at, %s", lease.worker, stacks.verdict)
        if self.pool.workers.get(lease.worker.id) is lease.worker:
            self.pool.kill(lease.worker, "the time of its invocation is over")

    def _complete(
        self,
        lease: Lease,
        outcome: str | ErrorObject,
        output: Sequence[OutputLine],
        truncated: bool,
    ) -> None:
        """The one end of every lease, whoever ended it."""
        self._end(lease.job.request_id, lease.subject)
        self._ended(lease, outcome, output, truncated)

    def _end(self, request_id: str, subject: Subject) -> None:
        if subject.lease is not None and subject.lease.deadline is not None:
            subject.lease.deadline.cancel()
        subject.lease = None
        del self._subjects[request_id]
