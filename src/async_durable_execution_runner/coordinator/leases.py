"""`Leases`: knows which worker holds which invocation and until when, and ends each lease once.

Only the executor knows what an invocation means to its execution. The executor is told when an
invocation begins, and when an invocation has ended and with which outcome.
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
from .tallies import DEADLINE, WITHDRAWN
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
        """Make leases that report to these functions.

        Args:
            new_id: Makes the ids of requests and workers.
            begins: Called when a worker is about to be given an invocation.
            overtaken: Called when a worker was free for an invocation whose execution has ended.
            ended: Called when nobody holds an invocation any longer, with its outcome (JSON text,
                or the error that it failed with), the lines that it wrote, and whether these were
                truncated.
            unavailable: Called when no worker can be started.
        """
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
        """Queue an invocation until a worker is free; return the id of the request.

        The pool's next `dispatch` is the first that can lease the invocation.

        Args:
            subject: What is invoked.
            function: The function to run, as it is now.
            arn: The execution's ARN; "" for a plain function.
            request_id: The id of the request; "" for a new one.
        """
        job = Job(
            request_id or self._new_id(), subject.workspace.share, function, arn, subject.labels
        )
        self._subjects[job.request_id] = subject
        self.pool.submit(job)
        return job.request_id

    def withdraw(self, workspace: Workspace) -> None:
        """Forget the invocations of `workspace`, and kill workers that are in its handlers."""
        self.pool.withdraw(workspace.share)
        for request_id, subject in list(self._subjects.items()):
            if subject.workspace is workspace:
                self.pool.tallies.invocations[WITHDRAWN] += subject.lease is not None
                self._end(request_id, subject)
                if isinstance(subject, PlainInvocation):
                    subject.give_up(ResourceNotFound("The runner was closed."))

    def of(self, request_id: str) -> Lease | None:
        """Return the lease of an invocation in progress, None where there is none."""
        subject = self._subjects.get(request_id)
        return None if subject is None else subject.lease

    def of_family(self, family: Family) -> list[Lease]:
        """Return the leases of all invocations of the family that are in progress."""
        subjects = [each for each in self._subjects.values() if each.family is family]
        return [each.lease for each in subjects if each.lease is not None]

    def _workers_unavailable(self, why: str) -> None:
        """Tell everybody who waits that the pool can start no worker."""
        for subject in self._subjects.values():
            if isinstance(subject, PlainInvocation):
                subject.workers_unavailable(why)
        self._unavailable()

    # -- a lease begins --------------------------------------------------------------------

    def _leased(self, job: Job, worker: Worker) -> bool:
        """Start the invocation for which the pool found a worker, if it is still wanted; return
        whether it is."""
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
        """Have the lease's deadline pass after this many real seconds."""
        lease.deadline = self._loop.call_later(seconds, self.deadline_passed, lease)

    def stop_deadline(self, lease: Lease) -> None:
        """Let no time pass for the lease until `resume_deadline` is called as often as this."""
        lease.worker.stops += 1
        if lease.deadline is not None:
            lease.seconds_left = lease.deadline.when() - self._loop.time()
            lease.deadline.cancel()
            lease.deadline = None
        # It leaves a place to another.
        self.pool.dispatch()

    def resume_deadline(self, lease: Lease) -> None:
        lease.worker.stops -= 1
        seconds, current = lease.seconds_left, lease.subject.lease is lease
        if not lease.worker.stops and seconds is not None and current and not lease.timed_out:
            self.set_deadline(lease, seconds)

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
        """Take an invocation's result from a worker.

        Args:
            worker: The worker that sent the result.
            request_id: The invocation.
            outcome: JSON text, or the error that the invocation failed with.
            output: The lines that the invocation wrote.
            truncated: Whether `output` lacks lines.
            divergences: What the replay asked for otherwise than recorded.
        """
        lease = self.of(request_id)
        if (
            lease is None
            or lease.worker is not worker
            or lease.timed_out
            # The worker was killed before, and its lease will be found lost.
            or worker.state is WorkerState.ENDING
        ):
            self.pool.finish(worker, request_id)
            if lease is not None and lease.worker is worker:
                # The result is too late, but the worker's host does not have these lines any more.
                lease.late_output = output
            return
        if isinstance(lease.subject, Run):
            lease.subject.invocations[-1].divergences = divergences
        # The pool comes first, so that what follows finds this worker free.
        self.pool.finish(worker, request_id)
        self._complete(lease, outcome, output, truncated)

    def _lost(self, job: Job, worker: Worker, exit: WorkerExit) -> None:
        """End the lease of a worker that has ended."""
        lease = self.of(job.request_id)
        if lease is None:
            return
        output = (*lease.late_output, *exit.output)
        if lease.timed_out:
            seconds = job.function.timeout_seconds
            error = causes.timed_out(job.request_id, seconds, output, lease.invocation.stacks)
        else:
            error = causes.died(job.request_id, exit)
        self._complete(lease, error, output, exit.output_truncated, died=True)

    def deadline_passed(self, lease: Lease, inspect: bool = True) -> None:
        """End a lease whose deadline has passed, by killing its worker. With `inspect`, the stacks
        of the worker are taken first."""
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
            self.pool.kill(lease.worker, "the time of its invocation is over", DEADLINE)

    def _complete(
        self,
        lease: Lease,
        outcome: str | ErrorObject,
        output: Sequence[OutputLine],
        truncated: bool,
        *,
        died: bool = False,
    ) -> None:
        """End a lease: every lease ends here, whoever ended it."""
        self._end(lease.job.request_id, lease.subject)
        self._ended(lease, outcome, output, truncated)
        if lease.timed_out or died:
            how = "timed_out" if lease.timed_out else "died"
        else:
            # Where the subject has no word of its own for it, there was an error or there was none.
            failed = isinstance(outcome, ErrorObject)
            how = (lease.invocation.outcome or ("error" if failed else "succeeded")).lower()
        self.pool.tallies.invocations[how] += 1

    def _end(self, request_id: str, subject: Subject) -> None:
        if subject.lease is not None and subject.lease.deadline is not None:
            subject.lease.deadline.cancel()
        subject.lease = None
        del self._subjects[request_id]
