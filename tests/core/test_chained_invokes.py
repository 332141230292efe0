"""Chained invokes: what the executor is asked for, and the ends that a callee can come to."""

from __future__ import annotations

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.commands import Invoke, InvokeFunction
from async_durable_execution_runner.core.model import ErrorObject, OperationStatus

from .machine import BOOM, CHAINED_INVOKE, Machine, invoked, start

MIB = 1024 * 1024


def invoking() -> Machine:
    """Suspended on one chained invoke."""
    machine = invoked(start(CHAINED_INVOKE, function_name="ship", payload="{}"))
    machine.suspends()
    return machine


def test_the_executor_is_asked_to_invoke_the_function() -> None:
    machine = invoked()
    target = ev.ChainedTarget("7", "arn:of:child")
    reply = machine.checkpoint(
        start(CHAINED_INVOKE, function_name="ship", payload='{"n": 1}', tenant_id="t"),
        targets={"op": target},
    )
    assert machine.commands == [InvokeFunction("op", "ship", '{"n": 1}', "t"), reply]
    event = machine.last_event
    assert event.type.value == "ChainedInvokeStarted"
    assert (event.function_name, event.tenant_id, event.payload) == ("ship", "t", '{"n": 1}')
    assert (event.executed_version, event.execution_arn) == ("7", "arn:of:child")


def test_a_target_that_is_not_there_fails_the_operation_in_the_same_reply() -> None:
    """Not the checkpoint. Nothing is invoked, and the history keeps no input."""
    machine = invoked()
    missing = ErrorObject("Function not found: nobody", "ResourceNotFoundException")
    reply = machine.checkpoint(
        start(CHAINED_INVOKE, function_name="nobody", payload="1"), targets={"op": missing}
    )
    assert machine.commands == [reply]
    assert reply.operations == [machine.op()]
    assert (machine.op().status, machine.op().error) == (OperationStatus.FAILED, missing)
    *_, started, failed = machine.execution.history
    assert started.type.value == "ChainedInvokeStarted"
    assert (started.function_name, started.payload) == ("nobody", None)
    assert (failed.type.value, failed.error) == ("ChainedInvokeFailed", missing)


ENDS = [
    (OperationStatus.SUCCEEDED, '"sent"', None, "ChainedInvokeSucceeded"),
    (OperationStatus.FAILED, None, BOOM, "ChainedInvokeFailed"),
    (OperationStatus.TIMED_OUT, None, BOOM, "ChainedInvokeTimedOut"),
    (OperationStatus.STOPPED, None, BOOM, "ChainedInvokeStopped"),
]


@pytest.mark.parametrize(("status", "result", "error", "event"), ENDS)
def test_its_end_wakes_the_execution(
    status: OperationStatus, result: str | None, error: ErrorObject | None, event: str
) -> None:
    machine = invoking()
    machine.now_ms += 3000
    commands = machine.send(
        ev.ChainedInvokeEnded, operation_id="op", status=status, result=result, error=error
    )
    assert commands == [Invoke()]
    op = machine.op()
    assert (op.status, op.result, op.error) == (status, result, error)
    assert op.end_ms == machine.now_ms
    last = machine.last_event
    assert (last.type.value, last.payload, last.error) == (event, result, error)


def test_an_output_over_1_mib_fails_it() -> None:
    machine = invoking()
    machine.send(
        ev.ChainedInvokeEnded,
        operation_id="op",
        status=OperationStatus.SUCCEEDED,
        result="é" * (MIB // 2) + "x",
    )
    op = machine.op()
    assert (op.status, op.result) == (OperationStatus.FAILED, None)
    assert op.error == ErrorObject(
        f"CHAINED_INVOKE output payload size must be less than or equal to {MIB} bytes."
    )
    assert machine.last_event.type.value == "ChainedInvokeFailed"


def test_an_output_of_1_mib_is_delivered() -> None:
    machine = invoking()
    machine.send(
        ev.ChainedInvokeEnded,
        operation_id="op",
        status=OperationStatus.SUCCEEDED,
        result="x" * MIB,
    )
    assert machine.op().status is OperationStatus.SUCCEEDED


def test_a_second_end_is_ignored() -> None:
    machine = invoking()
    end = {"operation_id": "op", "status": OperationStatus.SUCCEEDED}
    machine.send(ev.ChainedInvokeEnded, **end)
    before = machine.snapshot()
    assert machine.send(ev.ChainedInvokeEnded, **(end | {"result": "2"})) == []
    assert machine.snapshot() == before


def test_an_end_after_the_callers_end_is_ignored() -> None:
    machine = invoking()
    machine.send(ev.Stopped, error=BOOM)
    before = machine.snapshot()
    assert (
        machine.send(ev.ChainedInvokeEnded, operation_id="op", status=OperationStatus.SUCCEEDED)
        == []
    )
    assert machine.snapshot() == before
