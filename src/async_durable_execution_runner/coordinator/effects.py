"""`Effects`: finds the invocation that an effect belongs to by the id of its request, even long
after the invocation has ended."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import assert_never

from ..core.model import Effect
from ..errors import ResourceNotFound
from .clock import real_ms
from .runs import Call, Copy, InvocationState, Lease, PlainInvocation, Run, Workspace


@dataclass(slots=True)
class _Origin:
    """What an effect has to know of its invocation, and no more: payloads and results would stay in
    memory for as long as an effect may still come."""

    workspace: Workspace
    function_name: str
    #: The worker that the invocation was given to.
    worker_id: str
    #: The execution that the invocation is part of, or None for a function that was invoked from
    #: outside.
    run: Run | None = None
    #: The chained invoke of `run` that the invocation serves, if it serves one.
    operation_id: str | None = None
    number: int = 1
    #: The invocation, as far as its execution keeps it.
    invocation: InvocationState | None = None
    #: The lease, until the invocation has ended; a copy of an invocation never holds one.
    lease: Lease | None = None

    @property
    def stale(self) -> bool:
        if self.lease is None or self.lease.timed_out:
            return True
        return self.run is not None and self.run.execution.ended


#: The number of invocations of plain functions from outside that are kept, which is more than can
#: be under way.
_PLAIN_KEPT = 10_000


class Effects:
    """The effects that handlers had outside, kept with the invocations of all executions that are
    remembered."""

    def __init__(self) -> None:
        self._origins: dict[str, _Origin] = {}
        #: The ids of requests by the ARN of their execution.
        self._requests: dict[str, list[str]] = {}
        self._plain: deque[str] = deque()

    def add(self, lease: Lease) -> None:
        """Add an invocation that begins. The invocation of a call gets the number of the parent's
        invocation that it serves."""
        subject, request_id = lease.subject, lease.job.request_id
        origin = _Origin(subject.workspace, lease.job.function.name, lease.worker.id)
        match subject:
            case PlainInvocation():
                origin.lease = lease
            case Run():
                origin.run, origin.invocation, origin.lease = subject, lease.invocation, lease
            case Call():
                origin.run, origin.invocation, origin.lease = (
                    subject.parent,
                    lease.invocation,
                    lease,
                )
                origin.operation_id = subject.operation_id
            case Copy():
                # The effects of a copy are real, though nothing else of the copy counts.
                origin.run, origin.invocation = subject.parent, lease.invocation
            case _:
                assert_never(subject)
        if (run := origin.run) is not None:
            origin.number = len(run.invocations)
            self._requests.setdefault(run.arn, []).append(request_id)
        # A further attempt at an event has the id of the first attempt.
        elif request_id not in self._origins:
            self._plain.append(request_id)
            if len(self._plain) > _PLAIN_KEPT:
                del self._origins[self._plain.popleft()]
        self._origins[request_id] = origin

    def ended(self, request_id: str) -> None:
        """Take note that nobody holds the invocation any longer."""
        if (origin := self._origins.get(request_id)) is not None:
            origin.lease = None

    def forget(self, workspace: Workspace) -> None:
        for run in workspace.runs.values():
            self.forget_run(run)
        for request_id in self._plain:
            if self._origins[request_id].workspace is workspace:
                del self._origins[request_id]
        self._plain = deque(each for each in self._plain if each in self._origins)

    def forget_run(self, run: Run) -> None:
        for request_id in self._requests.pop(run.arn, ()):
            self._origins.pop(request_id, None)

    def worker_of(self, request_id: str) -> str:
        """Return the id of the worker that was given this invocation last; "" where the invocation
        is not known."""
        origin = self._origins.get(request_id)
        return "" if origin is None else origin.worker_id

    def was_given(self, worker_id: str, arn: str) -> bool:
        """Return whether the worker was given an invocation of this execution, or a copy of one."""
        origins = (self._origins[each] for each in self._requests.get(arn, ()))
        return any(each.worker_id == worker_id and each.operation_id is None for each in origins)

    def enter(self, said: Effect) -> Effect:
        """Enter an effect of a handler with its execution, and with the executions that invoked
        this execution in a chain.

        Raises `ResourceNotFound` where the invocation is not known.
        """
        origin = self._origins.get(said.request_id)
        if origin is None:
            raise ResourceNotFound(f"Invocation not found: {said.request_id}")
        run = origin.run
        effect = replace(
            said,
            execution_arn=run.arn if run is not None else "",
            function_name=origin.function_name,
            invocation=origin.number,
            time_ms=run.now if run is not None else real_ms(),
            stale=origin.stale,
        )
        if run is None:
            return effect
        if origin.operation_id is not None:
            effect = replace(effect, operation_id=origin.operation_id)
        elif effect.attempt is None and effect.operation_id and not effect.outside_step:
            # A step may run before its start is checkpointed.
            step = run.execution.operations.get(effect.operation_id or "")
            effect = replace(effect, attempt=1 + (step.attempt if step is not None else 0))
        each: Run | None = run
        while each is not None:
            each.effects.append(effect)
            each = each.parent[0] if each.parent is not None else None
        return effect

    def of(self, run: Run) -> list[Effect]:
        """Return the effects of `run`, with the operations' names and the invocations' errors that
        are known by now."""
        return [self._completed(effect) for effect in run.effects]

    def _completed(self, effect: Effect) -> Effect:
        origin = self._origins.get(effect.request_id)
        if origin is None or origin.run is None or origin.invocation is None:
            return effect
        operation = origin.run.execution.operations.get(effect.operation_id or "")
        return replace(
            effect,
            operation_name=effect.operation_name or (operation.name if operation else None),
            invocation_error=origin.invocation.error,
        )
