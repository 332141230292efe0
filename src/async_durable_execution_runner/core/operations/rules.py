"""The shape of a transition rule. The rules themselves are in the operation modules."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import OperationAction, OperationStatus, OperationType


@dataclass(frozen=True, slots=True)
class Rule:
    """A transition: `action` takes an operation from one of `sources` to `target`, or is refused.

    A source of `None` stands for an operation that does not exist yet. `refusal` is the service's
    text.
    """

    type: OperationType
    action: OperationAction
    sources: frozenset[OperationStatus | None]
    target: OperationStatus
    refusal: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """A transition that no handler asks for; `cause` is a timer, an answer or a callee's end."""

    type: OperationType
    cause: str
    source: OperationStatus
    target: OperationStatus
