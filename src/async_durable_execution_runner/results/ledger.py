"""What handlers did to the world outside, as a test asks for it: `result.ledger`.

Handlers record effects with `ledger.record`. This module knows nothing of gRPC or of runners.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, overload

from async_durable_execution import ErrorObject

from ..core import model
from .operations import sdk_error, timestamp
from .tables import effects_table

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


@dataclass(frozen=True, slots=True)
class Effect:
    """One side effect, as a handler recorded it.

    `invocation` is the number of the invocation in its execution, from 1: the invocation is
    `result.invocations[invocation - 1]`. An effect of a plain function is counted to the execution
    and the operation that invoked the function.
    """

    name: str
    #: The idempotency key; None where the effect was recorded without one.
    key: Any
    data: Mapping[str, Any]
    execution_arn: str
    function_name: str
    #: The step, or else the context around the effect; None at the top level of a handler.
    operation_id: str | None
    operation_name: str | None
    #: The step's attempt, from 1; None outside of steps.
    attempt: int | None
    invocation: int
    request_id: str
    #: The time on the execution's own clock, which skips.
    timestamp: datetime
    #: Whether a durable function recorded the effect outside of any step that the thread knew of:
    #: then every replay repeats it.
    outside_step: bool = False
    #: Whether the effect came when its invocation had already ended or had been cut off.
    stale: bool = False
    #: How the invocation failed, if it did.
    invocation_error: ErrorObject | None = None


class Ledger(Sequence[Effect]):
    """The effects of an execution and of all that it invoked in a chain, in order."""

    def __init__(self, effects: Iterable[Effect] = ()) -> None:
        self._effects = tuple(effects)

    def named(self, name: str) -> Ledger:
        return Ledger(each for each in self._effects if each.name == name)

    def count(self, value: Any) -> int:
        """How many effects have the name `value`; if that is an `Effect`, how many are equal to
        it."""
        return len(self.named(value)) if isinstance(value, str) else self._effects.count(value)

    def assert_effect_once(self, name: str, key: object = None) -> None:
        """Fail unless the effect `name` happened exactly once, under `key` where that is given."""
        found = self._found(name, key)
        if len(found) != 1:
            how = f"happened {len(found)} times, not once" if found else "did not happen"
            raise AssertionError(self._failure(f"{_title(name, key)} {how}", found))

    def assert_no_effect(self, name: str, key: object = None) -> None:
        """Fail if the effect `name` happened, under `key` where that is given."""
        found = self._found(name, key)
        if found:
            raise AssertionError(self._failure(f"{_title(name, key)} happened", found))

    def assert_idempotent(self, by: str = "key") -> None:
        """Fail if an effect was repeated under another key than before, or under none: the
        receiver could not tell that the effect is the same.

        A try is one attempt of an operation in one invocation. The keys under which a try
        recorded an effect must be those of the tries before it, or as many of them as the try
        came to. Effects of one try under different keys are different effects.

        Args:
            by: "key", or the name of a field of the data that serves as the key.
        """
        operations: dict[object, list[Effect]] = {}
        for each in self._effects:
            operation = each.execution_arn, each.function_name, each.operation_id, each.name
            operations.setdefault(operation, []).append(each)
        for effects in operations.values():
            if len(effects) > 1 and (problem := _problem(effects, by)):
                title = _title(effects[0].name, None)
                raise AssertionError(self._failure(f"{title} {problem}", effects))

    def _found(self, name: str, key: object) -> list[Effect]:
        return [each for each in self.named(name) if key is None or each.key == key]

    def _failure(self, what: str, effects: Sequence[Effect]) -> str:
        shown = effects or self._effects
        if not shown:
            return f"{what}: no effect was recorded."
        return "\n".join([f"{what}:" if effects else f"{what}; others did:", *effects_table(shown)])

    @overload
    def __getitem__(self, index: int) -> Effect: ...
    @overload
    def __getitem__(self, index: slice) -> Ledger: ...
    def __getitem__(self, index: int | slice) -> Effect | Ledger:
        return Ledger(self._effects[index]) if isinstance(index, slice) else self._effects[index]

    def __len__(self) -> int:
        return len(self._effects)

    def __eq__(self, other: object) -> bool:
        return self._effects == other._effects if isinstance(other, Ledger) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        counts = {each.name: self.count(each.name) for each in self._effects}
        names = ", ".join(name if n == 1 else f"{name} x{n}" for name, n in counts.items())
        return f"<Ledger: {names or 'no effects'}>"

    def __str__(self) -> str:
        return "\n".join(effects_table(self._effects)) if self._effects else repr(self)


def effect(source: model.Effect) -> Effect:
    return Effect(
        name=source.name,
        key=None if source.key is None else json.loads(source.key),
        data=json.loads(source.data),
        execution_arn=source.execution_arn,
        function_name=source.function_name,
        operation_id=source.operation_id,
        operation_name=source.operation_name,
        attempt=source.attempt,
        invocation=source.invocation,
        request_id=source.request_id,
        timestamp=timestamp(source.time_ms),
        outside_step=source.outside_step,
        stale=source.stale,
        invocation_error=sdk_error(source.invocation_error),
    )


def _problem(effects: Sequence[Effect], by: str) -> str:
    """Why the recordings of one operation are not one and the same effect; "" if they are."""
    tries: dict[tuple[str, int | None], set[str]] = {}
    for each in effects:
        value = each.key if by == "key" else each.data.get(by)
        if value is None:
            return f"was repeated without a {by!r}"
        # Texts are compared, since JSON values need not be hashable.
        text = json.dumps(value, sort_keys=True)
        tries.setdefault((each.request_id, each.attempt), set()).add(text)
    first, *later = tries.values()
    known = first
    for each_try in later:
        if not (each_try <= known or known <= each_try):
            return f"was repeated with another {by!r}"
        known = known | each_try
    return ""


def _title(name: str, key: object) -> str:
    return f"effect {name!r}" + (f" with the key {key!r}" if key is not None else "")
