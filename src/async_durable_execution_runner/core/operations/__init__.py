"""The operation types, one module each, and the table of all their transitions.

A new type needs a module with `RULES`, `TRIGGERS`, `validate` and `apply`, and a row in `_MODULES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..model import Operation, OperationAction, OperationType, OperationUpdate
from ..turn import Turn
from . import callback, chained_invoke, context, execution, step, wait
from .rules import Rule, Trigger


@dataclass(frozen=True, slots=True)
class Processor:
    """How one operation type takes an update, once its transition is known to be allowed.

    `validate` refuses options that do not fit the action. `apply` gets the operation as it
    stands, or a new operation that is STARTED as of now, and makes the change.
    """

    validate: Callable[[OperationUpdate], None]
    apply: Callable[[Turn, OperationUpdate, Operation], None]


_MODULES = {
    OperationType.EXECUTION: execution,
    OperationType.CONTEXT: context,
    OperationType.STEP: step,
    OperationType.WAIT: wait,
    OperationType.CALLBACK: callback,
    OperationType.CHAINED_INVOKE: chained_invoke,
}

PROCESSORS = {type: Processor(module.validate, module.apply) for type, module in _MODULES.items()}

#: Every transition that a handler may ask for, by type and action.
RULES: dict[tuple[OperationType, OperationAction], Rule] = {
    (rule.type, rule.action): rule for module in _MODULES.values() for rule in module.RULES
}

#: Every transition that happens by itself.
TRIGGERS: list[Trigger] = [trigger for module in _MODULES.values() for trigger in module.TRIGGERS]

__all__ = ["PROCESSORS", "RULES", "TRIGGERS", "Processor", "Rule", "Trigger"]
