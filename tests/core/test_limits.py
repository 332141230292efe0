"""How large each payload of an execution may be, just below the limit and just above."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.limits import DEFAULTS, Limits
from async_durable_execution_runner.core.model import ErrorObject, OperationStatus, OperationUpdate
from async_durable_execution_runner.errors import InvalidParameterValue

from .machine import (
    CALLBACK,
    CHAINED_INVOKE,
    CONTEXT,
    EXECUTION,
    STEP,
    Machine,
    fail,
    invoked,
    retry,
    start,
    succeed,
)

KIB = 1024
#: What makes an update with a payload of this text, the limit's name (or the number where no runner
#: can choose another) and the beginning of the refusal.
Row = tuple[Callable[[str], OperationUpdate], str | int, str]

PAYLOADS: list[Row] = [
    (lambda text: succeed(STEP, payload=text), "step_output", "STEP output"),
    # wait_for_condition keeps its state in this.
    (lambda text: retry(payload=text), "step_output", "STEP output"),
    (lambda text: succeed(CONTEXT, payload=text), "context_output", "CONTEXT output"),
    (lambda text: start(CHAINED_INVOKE, payload=text), "invoke_input", "CHAINED_INVOKE input"),
    (lambda text: succeed(EXECUTION, payload=text), "execution_output", "Execution output"),
    (lambda text: start(STEP, payload=text), 1024 * KIB, "STEP"),
    (lambda text: start(CALLBACK, payload=text), 1024 * KIB, "CALLBACK"),
]
SIZES = Limits(
    step_output=101,
    context_output=102,
    callback_result=103,
    invoke_input=104,
    invoke_output=105,
    execution_output=106,
    error=107,
)


def refusal(machine: Machine, update: OperationUpdate) -> str:
    before = machine.snapshot()
    with pytest.raises(InvalidParameterValue) as refused:
        machine.checkpoint(update)
    assert machine.snapshot() == before
    return refused.value.message


@pytest.mark.parametrize("limits", [DEFAULTS, SIZES], ids=["the defaults", "chosen"])
@pytest.mark.parametrize(("update", "limit", "what"), PAYLOADS)
def test_a_payload_may_be_as_large_as_its_limit(
    update: Callable[[str], OperationUpdate], limit: str | int, what: str, limits: Limits
) -> None:
    most = getattr(limits, limit) if isinstance(limit, str) else limit
    text = f"{what} payload size must be less than or equal to {most} bytes."
    assert refusal(invoked(limits=limits), update("x" * (most + 1))) == text
    # The limit counts bytes, not characters.
    assert refusal(invoked(limits=limits), update("é" * (most // 2) + "xx")) == text
    invoked(limits=limits).checkpoint(update("x" * most))
    invoked(limits=limits).checkpoint(update("é" * (most // 2)))


@pytest.mark.parametrize("limits", [DEFAULTS, SIZES], ids=["the defaults", "chosen"])
@pytest.mark.parametrize("type", [STEP, CONTEXT, EXECUTION])
def test_an_error_may_be_as_large_as_its_limit(type: object, limits: Limits) -> None:
    def error(size: int) -> ErrorObject:
        return ErrorObject("m" * (size - 10), "t" * 4, "d" * 4, ("s", "t"))

    assert refusal(invoked(limits=limits), fail(type, error=error(limits.error + 1))) == (
        f"{type.value} error size must be less than or equal to {limits.error} bytes."
    )
    invoked(limits=limits).checkpoint(fail(type, error=error(limits.error)))


@pytest.mark.parametrize("limits", [DEFAULTS, SIZES], ids=["the defaults", "chosen"])
def test_the_result_of_a_callback_may_be_as_large_as_its_limit(limits: Limits) -> None:
    machine = invoked(start(CALLBACK), limits=limits)
    answer = machine.op().callback_id
    with pytest.raises(InvalidParameterValue, match="CALLBACK result payload size must be less"):
        machine.send(
            ev.CallbackSucceeded, callback_id=answer, result="x" * (limits.callback_result + 1)
        )
    machine.send(ev.CallbackSucceeded, callback_id=answer, result="x" * limits.callback_result)
    assert machine.op().status is OperationStatus.SUCCEEDED


@pytest.mark.parametrize("limits", [DEFAULTS, SIZES], ids=["the defaults", "chosen"])
@pytest.mark.parametrize("more", [0, 1])
def test_the_result_of_a_chained_invoke_may_be_as_large_as_its_limit(
    limits: Limits, more: int
) -> None:
    machine = invoked(start(CHAINED_INVOKE), limits=limits)
    machine.send(
        ev.ChainedInvokeEnded,
        operation_id="op",
        status=OperationStatus.SUCCEEDED,
        result="x" * (limits.invoke_output + more),
    )
    assert machine.op().status is (OperationStatus.FAILED if more else OperationStatus.SUCCEEDED)


def test_the_defaults() -> None:
    assert replace(DEFAULTS) == Limits(
        step_output=262_144,
        context_output=262_144,
        callback_result=262_144,
        invoke_input=1_048_576,
        invoke_output=1_048_576,
        execution_output=6_291_456,
        error=32_768,
    )
