"""`CheckpointProcessor`: validates and applies one batch of updates, as a whole or not at all.

The processor works on a `Turn`, so that an error leaves the execution as it was. Tokens are checked
by the caller, who knows which invocation holds the lease.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InvalidParameterValue
from .model import Operation, OperationAction, OperationStatus, OperationType, OperationUpdate
from .operations import PROCESSORS, RULES
from .turn import Turn

_CLOSABLE_IN_ONE_BATCH = frozenset({OperationType.STEP, OperationType.CONTEXT})


class CheckpointProcessor:
    """The processing of one batch in `turn`. `root_id` is the id of the EXECUTION operation."""

    def __init__(self, turn: Turn, root_id: str) -> None:
        self._turn = turn
        self._root_id = root_id
        self._seen: dict[str, OperationAction] = {}

    def process(self, updates: Sequence[OperationUpdate]) -> None:
        """Apply all updates; raise `InvalidParameterValue`, with the service's text, for the first
        that does not fit."""
        for update in updates:
            if update.type is OperationType.EXECUTION:
                self._check_execution_updates(updates)
                break
        for update in updates:
            self._check_repetition(update)
            operation = self._resolve(update)
            PROCESSORS[update.type].apply(self._turn, update, operation)

    @staticmethod
    def _check_execution_updates(updates: Sequence[OperationUpdate]) -> None:
        places = [
            place for place, update in enumerate(updates) if update.type is OperationType.EXECUTION
        ]
        if len(places) > 1:
            raise InvalidParameterValue("Cannot checkpoint multiple EXECUTION updates.")
        if places and places[0] != len(updates) - 1:
            raise InvalidParameterValue("EXECUTION checkpoint must be the last update.")

    def _check_repetition(self, update: OperationUpdate) -> None:
        before = self._seen.get(update.id)
        if before is not None and not (
            before is OperationAction.START
            and update.action is not OperationAction.START
            and update.type in _CLOSABLE_IN_ONE_BATCH
        ):
            raise InvalidParameterValue("Cannot checkpoint multiple operations with the same ID.")
        # No update of the operation may follow after START and one more.
        self._seen[update.id] = update.action

    def _resolve(self, update: OperationUpdate) -> Operation:
        """Return the update's operation as it stands, or a new one; raise `InvalidParameterValue`
        where the update does not fit."""
        rule = RULES.get((update.type, update.action))
        if rule is None:
            raise InvalidParameterValue("Invalid action for the given operation type.")
        if update.type is OperationType.EXECUTION:
            # The SDK invents an id for this update, but the operation is the execution's own.
            operation = self._turn.get(self._root_id)
        else:
            operation = self._turn.get(update.id)
        if operation is not None:
            _check_consistent(update, operation)
        status = operation.status if operation is not None else None
        if status not in rule.sources:
            raise InvalidParameterValue(rule.refusal)
        if update.payload is not None or update.error is not None:
            _check_members(update)
            self._turn.limits.check_output(update)
        PROCESSORS[update.type].validate(update)
        if operation is not None:
            return operation
        if update.parent_id is not None:
            parent = self._turn.get(update.parent_id)
            if parent is None or parent.type is not OperationType.CONTEXT:
                raise InvalidParameterValue("Invalid parent operation id.")
        return Operation(
            id=update.id,
            type=update.type,
            status=OperationStatus.STARTED,
            start_ms=self._turn.now_ms,
            parent_id=update.parent_id,
            name=update.name,
            sub_type=update.sub_type,
        )


def _check_consistent(update: OperationUpdate, operation: Operation) -> None:
    if update.type is not operation.type:
        raise InvalidParameterValue("Inconsistent operation type.")
    if update.type is OperationType.EXECUTION:
        return
    if update.sub_type is not None and update.sub_type != operation.sub_type:
        raise InvalidParameterValue("Inconsistent operation subtype.")
    if update.name is not None and update.name != operation.name:
        raise InvalidParameterValue("Inconsistent operation name.")
    if update.parent_id is not None and update.parent_id != operation.parent_id:
        raise InvalidParameterValue("Inconsistent parent operation id.")


def _check_members(update: OperationUpdate) -> None:
    if update.action is OperationAction.SUCCEED and update.error is not None:
        raise InvalidParameterValue("Cannot provide an Error for SUCCEED action.")
    if update.action is OperationAction.FAIL and update.payload is not None:
        raise InvalidParameterValue("Cannot provide a Payload for FAIL action.")
