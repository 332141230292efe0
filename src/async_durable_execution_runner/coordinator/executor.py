"""`Executor`: the single writer. It feeds events to executions and carries out their commands.

Everything runs on the coordinator's event loop, and a turn has no `await` in it: an
event goes in, the commands are carried out, and only then does anything else happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import assert_never

from ..core import events as ev
from ..core import tokens
from ..core.commands import Command, Deliver, Finish, Invoke, InvokeFunction, Reply
from ..core.limits import Limits
from ..core.model import (
    ErrorObject,
    EventType,
    ExecutionStatus,
    OperationUpdate,
    OutputLine,
    Place,
)
from ..errors import (
    InvalidCheckpointToken,
    InvalidParameterValue,
    ResourceNotFound,
)
from .chained import ChainedInvokes
from .clock import real_ms
from .debuggers import Debuggers
from .effects import Effects
from .following import Written
from .injector import Injector
from .leases import Leases
from .outcome import read_output
from .runs import (
    Call,
    Copy,
    InvocationState,
    Lease,
    PlainInvocation,
    Run,
    Subject,
    Workspace,
)
from .starter import Starter
from .tallies import WITHDRAWN, label
from .timekeeper import Timekeeper
from .trace import trace
from .workers import Function, Share

_DAY_SECONDS = 24 * 3600


class Executor:
    """The owner of all workspaces and executions."""

    def __init__(self, new_id: Callable[[], str], new_seed: Callable[[], str]) -> None:
        """`new_id` makes unique strings, and `new_seed` strings that nobody can guess."""
        self.new_id = new_id
        self._new_seed = new_seed
        self._loop = asyncio.get_running_loop()
        self.leases = Leases(
            new_id,
            begins=self._invocation_begins,
            overtaken=self._invocation_overtaken,
            ended=self._invocation_ended,
            unavailable=self._workers_unavailable,
        )
        self.pool = self.leases.pool
        self.timekeeper = Timekeeper(self.feed)
        self.debuggers = Debuggers(self.leases, self.timekeeper)
        self._trace = trace(self.leases)
        self.workspaces: dict[str, Workspace] = {}
        self.runs: dict[str, Run] = {}
        #: The injectors, by ARN, of executions that have a fault plan or whose crash points are
        #: recorded.
        self.injectors: dict[str, Injector] = {}
        self.effects = Effects()
        self.starter = Starter(
            self.leases, self.timekeeper, self.runs, self.injectors, new_id, self.feed
        )
        self._chained = ChainedInvokes(
            self.leases,
            self.timekeeper,
            self.starter.new_arn,
            self.starter.start_chained,
            self.feed,
        )

    # -- workspaces ------------------------------------------------------------------------

    def open_workspace(
        self,
        workers: int,
        invocation_retries: int,
        retry_backoff_ms: int,
        epoch_ms: int | None,
        limits: Limits,
        place: Place,
    ) -> Workspace:
        """Open a workspace, which is a runner's.

        Args:
            workers: How many invocations of the workspace may be leased at once.
            invocation_retries: How many failed invocations in a row an execution survives.
            retry_backoff_ms: The pause before the first retry, in milliseconds.
            epoch_ms: The Unix time at which executions start; None for the real time.
            limits: The sizes that its executions take.
            place: Where its functions are.
        """
        share = Share(self.new_id(), workers)
        workspace = Workspace(
            share.workspace_id, share, invocation_retries, retry_backoff_ms, epoch_ms, limits, place
        )
        self.workspaces[workspace.id] = workspace
        self.pool.shares[workspace.id] = share
        return workspace

    def close_workspace(self, workspace: Workspace) -> None:
        """Forget the workspace's executions, and kill workers that are in one of its handlers."""
        del self.workspaces[workspace.id]
        self.leases.withdraw(workspace)
        self.effects.forget(workspace)
        for run in workspace.runs.values():
            del self.runs[run.arn]
            self.pool.tallies.executions_ended[WITHDRAWN] += not run.execution.ended
            self.timekeeper.forget(run.family)
            self.pool.release(run.arn)
            if injector := self.injectors.pop(run.arn, None):
                injector.close()
            if run.expiry is not None:
                run.expiry.cancel()
            run.notify(unconditionally=True)
        workspace.runs.clear()
        for follower in workspace.followers:
            follower.close()

    def replace_functions(self, workspace: Workspace, functions: Sequence[Function]) -> None:
        """Register these functions and no others.

        Invocations under way go on as they began. All later invocations, even of executions that
        have begun already, use the functions as they are now.
        """
        self.pool.retire({function.id for function in workspace.functions.values()})
        workspace.functions = {function.name: function for function in functions}
        workspace.functions_known.set()
        for run in workspace.runs.values():
            now = workspace.functions.get(run.function.name)
            if now is not None and now.durable:
                run.function = now

    def workspace(self, workspace_id: str) -> Workspace:
        """Return an open workspace; raise `ResourceNotFound` where there is none."""
        workspace = self.workspaces.get(workspace_id)
        if workspace is None:
            raise ResourceNotFound("This runner's workspace is closed.")
        return workspace

    def run(self, arn: str) -> Run:
        """Return an execution that is remembered; raise `ResourceNotFound` where there is none."""
        run = self.runs.get(arn)
        if run is None:
            raise ResourceNotFound(f"Execution not found: {arn}")
        return run

    # -- the one way through ---------------------------------------------------------------

    def feed(self, run: Run, event: ev.Event) -> Deliver | Reply | None:
        """Take `run` one turn further, then begin the invocations that the turn asked for.

        Raises `ServiceError` where the event is refused; then it has changed nothing.
        """
        try:
            return self._turn(run, event)
        finally:
            if self.pool.unmatched:
                self.pool.dispatch()

    def _turn(self, run: Run, event: ev.Event) -> Deliver | Reply | None:
        execution = run.execution
        first = execution.next_timer()
        if first is not None and first[1] <= event.now_ms and not isinstance(event, ev.TimePassed):
            self._let_time_pass(run, event.now_ms)
        answer = None
        trace = self._trace
        try:
            handled = execution.handle(event) if trace is None else trace.handle(run, event)
            for command in handled:
                answer = self._carry_out(run, command) or answer
            if trace is not None:
                trace.waits(run)
        finally:
            # The same is done after a refusal, as the time that passed first may have changed much.
            # A checkpoint alone, during which an invocation runs, changes nothing but timers.
            if not isinstance(event, ev.Checkpoint) or execution.next_timer() is not first:
                run.family.note(run)
                self.timekeeper.settle(run.family)
            if run.watchers:
                run.notify()
        return answer

    def _let_time_pass(self, run: Run, now_ms: int) -> None:
        passed = ev.TimePassed(now_ms)
        trace = self._trace
        handled = run.execution.handle(passed) if trace is None else trace.handle(run, passed)
        for command in handled:
            self._carry_out(run, command)

    def _carry_out(self, run: Run, command: Command) -> Deliver | Reply | None:
        match command:
            case Deliver() | Reply():
                return command
            case Invoke():
                run.choose_hosts()
                self.leases.submit(run, run.function, run.arn)
            case InvokeFunction():
                self._chained.begin(run, command)
            case Finish():
                self._finished(run, command.status)
            case _:
                assert_never(command)
        return None

    def _finished(self, run: Run, status: ExecutionStatus) -> None:
        run.family.remove(run)
        self.pool.tallies.executions_ended[label(status)] += 1
        if injector := self.injectors.get(run.arn):
            injector.close()
        if run.lease is None:
            self.pool.release(run.arn)
        else:
            self.pool.outlive(run.lease.worker, run.arn)
        if run.function.retention_days:
            seconds = run.function.retention_days * _DAY_SECONDS
            run.expiry = self._loop.call_later(seconds, self._forget, run)
        self._chained.child_ended(run, status)

    def _forget(self, run: Run) -> None:
        workspace, config = run.workspace, run.execution.config
        del self.runs[run.arn], workspace.runs[run.arn]
        self.injectors.pop(run.arn, None)
        if workspace.names.get((config.function_name, config.name)) is run:
            del workspace.names[config.function_name, config.name]
        self.effects.forget_run(run)
        run.notify(unconditionally=True)

    # -- checkpoints -----------------------------------------------------------------------

    def checkpoint(
        self, arn: str, token: str, updates: tuple[OperationUpdate, ...], client_token: str | None
    ) -> Reply:
        """Take one checkpoint of the invocation that holds the lease.

        Args:
            arn: The execution.
            token: The checkpoint token that the invocation was given last.
            updates: What the checkpoint changes; empty to ask for what is new.
            client_token: The id of the request, under which a repetition gets the same answer.

        Raises:
            ServiceError: The checkpoint is refused, and has changed nothing.
        """
        run = self.runs.get(arn)
        if run is None:
            raise InvalidCheckpointToken("there is no such execution.")
        targets = self._chained.targets(run, updates)
        if run.lease is not None:
            run.lease.last_checkpoint = self._loop.time()
        reply = self.feed(run, ev.Checkpoint(run.now, token, updates, client_token, targets))
        assert isinstance(reply, Reply)
        return reply

    # -- invocations -----------------------------------------------------------------------

    def _invocation_begins(self, lease: Lease) -> None:
        """Take note that a worker is about to be given the lease's invocation."""
        subject, invocation = lease.subject, lease.invocation
        match subject:
            case PlainInvocation():
                subject.invocation = invocation
            case Call():
                pass
            case Copy():
                lease.deliver = subject.original.deliver
            case Run():
                subject.invocations.append(invocation)
                subject.family.begun += subject.parent is None
                now, request_id = invocation.start_ms, invocation.request_id
                started = ev.InvocationStarted(now, request_id, self._new_seed())
                delivered = self._turn(subject, started)
                assert isinstance(delivered, Deliver)
                lease.deliver = delivered
            case _:
                assert_never(subject)
        self.effects.add(lease)

    def _invocation_overtaken(self, subject: Subject) -> None:
        """Take note that the execution of `subject` ended before a worker was free."""
        if isinstance(subject, Call | Copy):
            subject.family.calls -= 1
            self.timekeeper.settle(subject.family)

    def _invocation_ended(
        self,
        lease: Lease,
        outcome: str | ErrorObject,
        output: Sequence[OutputLine],
        truncated: bool,
    ) -> None:
        """Take the end of an invocation, which nobody holds any longer. `outcome` is JSON text, or
        the error that the invocation failed with."""
        subject, job = lease.subject, lease.job
        self.effects.ended(job.request_id)
        for follower in subject.workspace.followers if output else ():
            name, arn = job.function.name, job.execution_arn
            follower.tell(Written(name, arn, job.request_id, real_ms(), output))
        if isinstance(subject, Copy):
            if injector := self.injectors.get(job.execution_arn):
                injector.copy_ended(lease.worker)
            return
        if isinstance(subject, PlainInvocation):
            subject.complete(outcome, output, truncated)
            return
        # The output of a call is kept with the invocation that the call serves.
        served = subject.parent.invocations[-1] if isinstance(subject, Call) else lease.invocation
        served.output = [*served.output, *output]
        served.output_truncated |= truncated
        if isinstance(subject, Call):
            if isinstance(outcome, ErrorObject):
                lease.invocation.error = outcome
            self._chained.call_ended(subject, outcome)
            return
        if injector := self.injectors.get(job.execution_arn):
            injector.lease_ended()
        if not lease.timed_out:
            lease.invocation.stacks = None
        self._run_returned(subject, lease.invocation, outcome)
        if subject.execution.ended:
            self.pool.release(subject.arn)

    def _run_returned(
        self, run: Run, invocation: InvocationState, outcome: str | ErrorObject
    ) -> None:
        now, request_id = run.now, invocation.request_id
        event: ev.InvocationReturned | ev.InvocationFailed
        if isinstance(outcome, ErrorObject):
            event = ev.InvocationFailed(now, request_id, outcome)
        else:
            event = read_output(outcome, now, request_id)
        invocation.end_ms = now
        if isinstance(event, ev.InvocationReturned):
            invocation.outcome = event.outcome.value
        else:
            invocation.outcome, invocation.error = "ERROR", event.error
        self.feed(run, event)
        if invocation.error is None:
            invocation.error = _refusal(run, request_id)

    # -- outsiders -------------------------------------------------------------------------

    def complete_callback(
        self,
        callback_id: str,
        make: Callable[[int], ev.CallbackSucceeded | ev.CallbackFailed | ev.CallbackHeartbeat],
        workspace: Workspace | None = None,
    ) -> None:
        """Answer a callback.

        Args:
            callback_id: The callback.
            make: Builds the event for the time that it is now on the execution's clock.
            workspace: The workspace that the callback has to be in; None for any.

        Raises:
            ServiceError: There is no such callback, or it cannot be answered any more.
        """
        arn, _ = tokens.parse_callback_id(callback_id)
        run = (self if workspace is None else workspace).runs.get(arn)
        if run is None:
            raise InvalidParameterValue("Invalid callback id.")
        self.feed(run, make(run.now))

    # -- those who wait --------------------------------------------------------------------

    def _workers_unavailable(self) -> None:
        """Wake everybody who waits for an execution, as no worker can be started."""
        for run in self.runs.values():
            run.notify(unconditionally=True)


def _refusal(run: Run, request_id: str) -> ErrorObject | None:
    """Return what the service found wrong with an invocation that returned."""
    for event in reversed(run.execution.history):
        if event.type is EventType.INVOCATION_COMPLETED and event.request_id == request_id:
            return event.error
    return None
