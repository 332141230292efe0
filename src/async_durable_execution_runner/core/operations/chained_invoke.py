"""CHAINED_INVOKE: the handler starts it, and the end of the function that it invokes ends it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...errors import InvalidParameterValue
from .. import limits
from ..commands import InvokeFunction
from ..events import ChainedInvokeEnded
from ..model import (
    ErrorObject,
    EventType,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from ..record import replace
from ..turn import Turn
from .rules import Rule, Trigger

_CHAINED = OperationType.CHAINED_INVOKE
_STARTED = OperationStatus.STARTED
#: The name of a function that answers to every name that no other function has.
ANY_FUNCTION = "*"

RULES = [
    Rule(
        _CHAINED,
        OperationAction.START,
        frozenset({None}),
        _STARTED,
        "Cannot start a CHAINED_INVOKE operation that already exists.",
    ),
]
TRIGGERS = [
    Trigger(_CHAINED, "the function succeeded", _STARTED, OperationStatus.SUCCEEDED),
    Trigger(_CHAINED, "the function failed", _STARTED, OperationStatus.FAILED),
    Trigger(_CHAINED, "the function's execution timed out", _STARTED, OperationStatus.TIMED_OUT),
    Trigger(_CHAINED, "the function's execution was stopped", _STARTED, OperationStatus.STOPPED),
]
_ENDED = {
    OperationStatus.SUCCEEDED: EventType.CHAINED_INVOKE_SUCCEEDED,
    OperationStatus.FAILED: EventType.CHAINED_INVOKE_FAILED,
    OperationStatus.TIMED_OUT: EventType.CHAINED_INVOKE_TIMED_OUT,
    OperationStatus.STOPPED: EventType.CHAINED_INVOKE_STOPPED,
}


def validate(update: OperationUpdate) -> None:
    if not update.function_name:
        raise InvalidParameterValue(
            "Update for CHAINED_INVOKE operation requires ChainedInvokeOptions."
        )


def apply(turn: Turn, update: OperationUpdate, operation: Operation) -> None:
    name = update.function_name or ""
    _check_same_place(name, turn.execution_arn)
    turn.put(operation)
    target = turn.targets.get(operation.id)
    if isinstance(target, ErrorObject):
        # The error is found before anything is sent, so the handler learns it from this reply.
        turn.record(
            EventType.CHAINED_INVOKE_STARTED,
            operation,
            function_name=name,
            tenant_id=update.tenant_id,
        )
        _end(turn, operation, OperationStatus.FAILED, error=target)
        return
    turn.record(
        EventType.CHAINED_INVOKE_STARTED,
        operation,
        function_name=name,
        tenant_id=update.tenant_id,
        payload=update.payload,
        executed_version=target.version if target else None,
        execution_arn=target.execution_arn if target else None,
    )
    turn.commands.append(
        InvokeFunction(operation.id, name, update.payload or "null", update.tenant_id)
    )


def ended(turn: Turn, operation: Operation, event: ChainedInvokeEnded) -> None:
    status, result, error = event.status, event.result, event.error
    try:
        limits.check_payload(result, turn.limits.invoke_output, "CHAINED_INVOKE output")
    except InvalidParameterValue as too_large:
        status, result, error = OperationStatus.FAILED, None, ErrorObject(str(too_large))
    _end(turn, operation, status, result, error)


def timed_out(seconds: int) -> ErrorObject:
    """Return the error for the caller of an execution that ran out of its `seconds`."""
    return ErrorObject(
        f"CHAINED_INVOKE timed out after {seconds} seconds.", "ChainedInvoke.Timeout"
    )


def _end(
    turn: Turn,
    operation: Operation,
    status: OperationStatus,
    result: str | None = None,
    error: ErrorObject | None = None,
) -> None:
    closed = replace(operation, status=status, end_ms=turn.now_ms, result=result, error=error)
    turn.put(closed)
    turn.record(_ENDED[status], closed, payload=result, error=error)


class FunctionName(NamedTuple):
    """The parts of a function's name, partial ARN or ARN."""

    region: str | None
    account: str | None
    name: str
    qualifier: str | None


_FUNCTION_NAME = re.compile(
    r"(?:arn:[a-z-]+:lambda:)?(?:([a-z]{2}(?:-[a-z]+)+-\d):)?(?:(\d{12}):)?(?:function:)?"
    r"([A-Za-z0-9_.-]+)(?::(\$LATEST(?:\.PUBLISHED)?|[A-Za-z0-9_-]+))?"
)


def parse_function_name(text: str) -> FunctionName:
    """Return the parts of a function's name; a text in none of the forms counts as a bare name."""
    match = _FUNCTION_NAME.fullmatch(text)
    return FunctionName(*match.groups()) if match else FunctionName(None, None, text, None)


def _check_same_place(function_name: str, execution_arn: str) -> None:
    """Raise `InvalidParameterValue` for a function of another account or region than the
    execution's."""
    region, account = execution_arn.split(":")[3:5]
    function = parse_function_name(function_name)
    if function.account not in (None, account):
        raise InvalidParameterValue(
            "Cannot start a CHAINED_INVOKE on a function in another account."
        )
    if function.region not in (None, region):
        raise InvalidParameterValue(
            "Cannot start a CHAINED_INVOKE on a function in another region."
        )
