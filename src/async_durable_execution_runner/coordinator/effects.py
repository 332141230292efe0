"""`Effects`: finds the invocation that an effect belongs to by the id of its request, even long
after the invocation has ended."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from ..core.model import Effect
from ..errors import ResourceNotFound
from .clock import real_ms
from .runs import Call, InvocationState, PlainInvocation, Run, Workspace


@dataclass(frozen=True, slots=True)
class _Origin:
    subject: Run | Call | PlainInvocation
    invocation: InvocationState
    number: int

    @property
    def run(self) -> Run | None:
        """The execution that the invocation is part of, or None for a function that was invoked
        from outside."""
        match self.subject:
            case Run():
                return self.subject
            case Call():
                return self.subject.parent
            case PlainInvocation():
                return None

    @property
    def stale(self) -> bool:
        lease = self.subject.lease
        if lease is None or lease.invocation is not self.invocation or lease.timed_out:
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

    def add(self, subject: Run | Call | PlainInvocation, invocation: InvocationState) -> None:
        """Add an invocation that begins. The invocation of a call gets the number of the parent's
        invocation that it serves."""
        origin = _Origin(subject, invocation, 1)
        if (run := origin.run) is not None:
            origin = replace(origin, number=len(run.invocations))
            self._requests.setdefault(run.arn, []).append(invocation.request_id)
        # A further attempt at an event has the id of the first attempt.
        elif invocation.request_id not in self._origins:
            self._plain.append(invocation.request_id)
            if len(self._plain) > _PLAIN_KEPT:
                del self._origins[self._plain.popleft()]
        self._origins[invocation.request_id] = origin

    def forget(self, workspace: Workspace) -> None:
        for run in workspace.runs.values():
            self.forget_run(run)
        for request_id in self._plain:
            if self._origins[request_id].subject.workspace is workspace:
                del self._origins[request_id]
        self._plain = deque(each for each in self._plain if each in self._origins)

    def forget_run(self, run: Run) -> None:
        for request_id in self._requests.pop(run.arn, ()):
            self._origins.pop(request_id, None)

    def enter(self, said: Effect) -> Effect:
        """Enter an effect of a handler with its execution, and with the executions that invoked
        this execution in a chain.

        Raises `ResourceNotFound` where the invocation is not known.
        """
        origin = self._origins.get(said.request_id)
        if origin is None:
            raise ResourceNotFound(f"Invocation not found: {said.request_id}")
        run, subject = origin.run, origin.subject
        effect = replace(
            said,
            execution_arn=run.arn if run is not None else "",
            function_name=subject.function.name,
            invocation=origin.number,
            time_ms=run.now if run is not None else real_ms(),
            stale=origin.stale,
        )
        if run is None:
            return effect
        if isinstance(subject, Call):
            effect = replace(effect, operation_id=subject.operation_id)
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
        if origin is None or origin.run is None:
            return effect
        operation = origin.run.execution.operations.get(effect.operation_id or "")
        return replace(
            effect,
            operation_name=effect.operation_name or (operation.name if operation else None),
            invocation_error=origin.invocation.error,
        )
