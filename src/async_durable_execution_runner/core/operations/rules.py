"""The shape of a transition rule. The rules themselves stand in the operation modules."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import OperationAction, OperationStatus, OperationType


@dataclass(frozen=True, slots=True)
class Rule:
    """`action` takes an operation from one of `sources` to `target`, or is refused.

    A source of `None` is an operation that is not there yet. `refusal` is the service's text.
    """

    type: OperationType
    action: OperationAction
    sources: frozenset[OperationStatus | None]
    target: OperationStatus
    refusal: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """A transition that no handler asks for: `cause` is a timer, an answer, a callee's end."""

    type: OperationType
    cause: str
    source: OperationStatus
    target: OperationStatus
