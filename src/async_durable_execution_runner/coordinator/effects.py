"""Whose effect it is: by the id of its request, also long after the invocation has ended."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..core.model import Effect
from ..errors import ResourceNotFound
from .runs import Call, InvocationRecord, Run
from .workspace import Workspace


@dataclass(frozen=True, slots=True)
class _Source:
    subject: Run | Call
    record: InvocationRecord
    number: int

    @property
    def run(self) -> Run:
        return self.subject if isinstance(self.subject, Run) else self.subject.parent

    @property
    def stale(self) -> bool:
        lease = self.subject.lease
        ended = lease is None or lease.job.request_id != self.record.request_id or lease.timed_out
        return ended or self.run.execution.ended


class Sources:
    """The invocations that there were, as far as their runners are open."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def add(self, subject: Run | Call, record: InvocationRecord) -> None:
        """An invocation begins. A call's counts as the one of its parent's that it serves."""
        run = subject if isinstance(subject, Run) else subject.parent
        self._sources[record.request_id] = _Source(subject, record, len(run.invocations))

    def forget(self, workspace: Workspace) -> None:
        self._sources = {
            request_id: source
            for request_id, source in self._sources.items()
            if source.run.workspace is not workspace
        }

    def record(self, said: Effect) -> Effect:
        """Enter an effect for its execution and for those that invoked it in a chain."""
        source = self._sources.get(said.request_id)
        if source is None:
            raise ResourceNotFound(f"Invocation not found: {said.request_id}")
        run, subject = source.run, source.subject
        effect = replace(
            said,
            execution_arn=run.arn,
            function_name=subject.function.name,
            invocation=source.number,
            time_ms=run.now,
            stale=source.stale,
        )
        if isinstance(subject, Call):
            effect = replace(effect, operation_id=subject.operation_id)
        elif effect.attempt is None and not effect.outside_step:
            # A step may run before its start is checkpointed.
            step = run.execution.operations.get(effect.operation_id or "")
            effect = replace(effect, attempt=1 + (step.attempt if step is not None else 0))
        each: Run | None = run
        while each is not None:
            each.effects.append(effect)
            each = each.parent[0] if each.parent is not None else None
        return effect

    def of(self, run: Run) -> list[Effect]:
        """With what may be known by now: the operation's name, how the invocation failed."""
        return [self._completed(effect) for effect in run.effects]

    def _completed(self, effect: Effect) -> Effect:
        source = self._sources.get(effect.request_id)
        if source is None:
            return effect
        operation = source.run.execution.operations.get(effect.operation_id or "")
        return replace(
            effect,
            operation_name=effect.operation_name or (operation.name if operation else None),
            invocation_error=source.record.error,
        )
