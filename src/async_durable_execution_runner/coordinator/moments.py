"""`Moments`: counts the moments of an execution, and says what goes wrong at each of them.

Crash exploration uses the same moments: each can be recorded with a key, and two moments have equal
keys where the durable state and the effects that are not yet durable are equal.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from ..core import faults as f
from ..core.fault_places import Change, CrashPoint, Moment, Point
from ..core.model import OperationAction, OperationType, OperationUpdate
from .injection import FiredFault, Injection
from .runs import Run

_OUTCOMES = (OperationAction.SUCCEED, OperationAction.FAIL, OperationAction.RETRY)


class Moments:
    """The moments of one execution. The faults that fire and the moments that are recorded are
    added to `injection`."""

    def __init__(self, run: Run, injection: Injection) -> None:
        self._run = run
        self._injection = injection
        self._ordinal = 0
        self._counts: Counter[Point] = Counter()
        #: The effects that are not durable yet: bodies of steps and entries of the ledger.
        self._pending: Counter[tuple[str, str]] = Counter()

    def strike(
        self, point: Point, changes: Sequence[Change] = (), name: str = ""
    ) -> tuple[f.What, FiredFault, Point] | None:
        """Begin the next moment of this kind; return what goes wrong at it, if anything does.

        Args:
            point: The kind of the moment.
            changes: What a checkpoint changes, at a commit.
            name: The name of the effect, at an effect.
        """
        if point is not Point.BEFORE_COMMIT:
            self._counts[point] += 1
        number = self._counts[point] + (point is Point.BEFORE_COMMIT)
        if point is not Point.TIME:
            self._ordinal += 1
        now = self._run.now
        elapsed = now - self._run.execution.root.start_ms
        moment = Moment(point, number, self._ordinal, elapsed, changes, name)
        key = self._key() if self._injection.with_keys else ""
        self._injection.points.append(CrashPoint(str(moment), moment.label, key))
        fault = self._injection.plan.strikes(moment)
        if fault is None:
            return None
        fired = FiredFault(str(fault), str(moment), moment.label, len(self._run.invocations), now)
        self._injection.fired.append(fired)
        return fault.what, fired, point

    def due_in(self) -> float | None:
        """Return the seconds until the next fault that strikes at a time, None without one."""
        return self._injection.plan.due_in(self._run.now - self._run.execution.root.start_ms)

    def changes(self, updates: Sequence[OperationUpdate]) -> list[Change]:
        """Return what the updates would change, before they are committed."""
        changes = []
        for update in updates:
            operation = self._run.execution.operations.get(update.id)
            attempt = 1 if operation is None else operation.attempt + 1
            changes.append(
                Change(update.id, update.type, update.action, update.name, update.sub_type, attempt)
            )
        return changes

    def invocation_started(self) -> None:
        """Count an invocation, so that its result gets the same number as the invocation."""
        self._counts[Point.INVOCATION_RESULT] = len(self._run.invocations) - 1

    def effect(self, operation_id: str, name: str) -> None:
        """Note that the ledger has an effect of this name, of an operation or of none ("")."""
        self._pending[operation_id, name] += 1

    def committing(self, changes: Sequence[Change]) -> None:
        """Note that the bodies of the steps among `changes` have run."""
        self._pending.update((body, "") for body in _bodies(changes))

    def committed(self, changes: Sequence[Change]) -> None:
        """Note that the effects of the steps among `changes` are durable now."""
        bodies = _bodies(changes)
        for pending in [each for each in self._pending if each[0] in bodies]:
            del self._pending[pending]
        self._counts[Point.BEFORE_COMMIT] += 1

    def _key(self) -> str:
        """Return a digest of what a recovery from a crash at this moment starts with."""
        digest = hashlib.blake2b(digest_size=8)
        for each in self._run.execution.operations.values():
            if each.type is OperationType.EXECUTION:
                continue
            error = (each.error.type, each.error.message) if each.error else None
            digest.update(repr((each.id, each.status, each.attempt, each.result, error)).encode())
        digest.update(repr(sorted(self._pending.items())).encode())
        return digest.hexdigest()


def _bodies(changes: Sequence[Change]) -> list[str]:
    """Return the ids of the steps among `changes` whose bodies have run."""
    return [
        each.operation_id
        for each in changes
        if each.type is OperationType.STEP and each.action in _OUTCOMES
    ]
