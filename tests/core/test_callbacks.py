"""Callbacks: who may answer them, until when, and what the handler learns."""

from __future__ import annotations

import base64

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core import tokens
from async_durable_execution_runner.core.commands import Invoke
from async_durable_execution_runner.core.model import ErrorObject, OperationStatus
from async_durable_execution_runner.errors import (
    CallbackTimeout,
    InvalidParameterValue,
    ServiceError,
)

from .machine import ARN, BOOM, CALLBACK, STEP, T0, Machine, invoked, start

TIMED_OUT = ErrorObject("Callback timed out", "Callback.Timeout")
NO_HEARTBEAT = ErrorObject("Callback timed out on heartbeat", "Callback.Heartbeat")


def waiting(**options: int) -> tuple[Machine, str]:
    """Suspended on one callback; its id."""
    machine = invoked(start(CALLBACK, name="approve", **options))
    machine.suspends()
    return machine, machine.op().callback_id or ""


def test_the_reply_to_its_start_has_the_id() -> None:
    machine = invoked()
    (callback,) = machine.checkpoint(start(CALLBACK, name="approve")).operations
    assert callback.callback_id
    assert tokens.parse_callback_id(callback.callback_id) == (ARN, "op")
    assert machine.last_event.callback_id == callback.callback_id


def test_success_wakes_the_execution() -> None:
    machine, id = waiting()
    machine.now_ms += 5000
    assert machine.send(ev.CallbackSucceeded, callback_id=id, result='"yes"') == [Invoke()]
    callback = machine.op()
    assert (callback.status, callback.result) == (OperationStatus.SUCCEEDED, '"yes"')
    assert (callback.end_ms, callback.callback_id) == (T0 + 5000, id)
    assert (machine.last_event.type.value, machine.last_event.payload) == (
        "CallbackSucceeded",
        '"yes"',
    )


def test_success_may_come_without_a_result() -> None:
    machine, id = waiting()
    machine.send(ev.CallbackSucceeded, callback_id=id)
    assert (machine.op().status, machine.op().result) == (OperationStatus.SUCCEEDED, None)


def test_failure_wakes_the_execution() -> None:
    machine, id = waiting()
    assert machine.send(ev.CallbackFailed, callback_id=id, error=BOOM) == [Invoke()]
    assert (machine.op().status, machine.op().error) == (OperationStatus.FAILED, BOOM)
    assert (machine.last_event.type.value, machine.last_event.error) == ("CallbackFailed", BOOM)


def test_an_answer_during_an_invocation_is_in_the_next_reply() -> None:
    machine = invoked(start(CALLBACK))
    answer = {"callback_id": machine.op().callback_id, "result": "1"}
    assert machine.send(ev.CallbackSucceeded, **answer) == []
    (callback,) = machine.checkpoint().operations
    assert callback.result == "1"


def test_it_times_out() -> None:
    machine, _ = waiting(timeout_seconds=60)
    assert machine.pass_time(59) == []
    assert machine.pass_time(1) == [Invoke()]
    assert (machine.op().status, machine.op().error) == (OperationStatus.TIMED_OUT, TIMED_OUT)
    assert machine.op().end_ms == T0 + 60_000
    assert (machine.last_event.type.value, machine.last_event.error) == (
        "CallbackTimedOut",
        TIMED_OUT,
    )


@pytest.mark.parametrize("event", [ev.CallbackSucceeded, ev.CallbackFailed])
def test_what_was_answered_does_not_time_out(event: type) -> None:
    machine, id = waiting(timeout_seconds=60, heartbeat_timeout_seconds=10)
    machine.send(event, callback_id=id, **({"error": BOOM} if event is ev.CallbackFailed else {}))
    answered = machine.op()
    machine.pass_time(3600)
    assert machine.op() == answered
    assert "CallbackTimedOut" not in machine.events


def test_it_times_out_on_heartbeat() -> None:
    machine, _ = waiting(timeout_seconds=60, heartbeat_timeout_seconds=10)
    assert machine.pass_time(10) == [Invoke()]
    assert (machine.op().status, machine.op().error) == (OperationStatus.TIMED_OUT, NO_HEARTBEAT)
    machine.pass_time(60)
    assert machine.events.count("CallbackTimedOut") == 1


def test_a_heartbeat_puts_off_one_time_out_and_not_the_other() -> None:
    machine, id = waiting(timeout_seconds=25, heartbeat_timeout_seconds=10)
    history = list(machine.events)
    for _ in range(2):
        machine.pass_time(9)
        assert machine.send(ev.CallbackHeartbeat, callback_id=id) == []
    assert machine.events == history
    machine.pass_time(6.999)
    assert machine.op().status is OperationStatus.STARTED
    machine.pass_time(0.001)
    assert machine.op().error == TIMED_OUT


def test_without_heartbeats_the_last_one_counts() -> None:
    machine, id = waiting(heartbeat_timeout_seconds=10)
    machine.pass_time(9)
    machine.send(ev.CallbackHeartbeat, callback_id=id)
    machine.pass_time(9.999)
    assert machine.op().status is OperationStatus.STARTED
    machine.pass_time(0.001)
    assert machine.op().error == NO_HEARTBEAT


def test_a_heartbeat_of_a_callback_that_needs_none_is_welcome() -> None:
    machine, id = waiting()
    before = machine.snapshot()
    assert machine.send(ev.CallbackHeartbeat, callback_id=id) == []
    assert machine.snapshot() == before


ANSWERS = [
    (ev.CallbackSucceeded, {"result": "1"}),
    (ev.CallbackFailed, {"error": BOOM}),
    (ev.CallbackHeartbeat, {}),
]
answers = pytest.mark.parametrize(
    ("event", "fields"), ANSWERS, ids=[event.__name__ for event, _ in ANSWERS]
)


def refuse(machine: Machine, event: type, callback_id: str, **fields: object) -> ServiceError:
    """Send an answer that must be refused and change nothing; the refusal."""
    before = machine.snapshot()
    with pytest.raises(ServiceError) as refused:
        machine.send(event, callback_id=callback_id, **fields)
    assert machine.snapshot() == before
    return refused.value


@answers
def test_a_second_completion_is_an_error(event: type, fields: dict[str, object]) -> None:
    machine, id = waiting()
    machine.send(ev.CallbackSucceeded, callback_id=id)
    error = refuse(machine, event, id, **fields)
    assert str(error) == "Callback has already been completed."
    assert (error.code, error.http_status) == ("InvalidParameterValueException", 400)


@answers
def test_an_answer_after_the_time_out_is_an_error(event: type, fields: dict[str, object]) -> None:
    machine, id = waiting(timeout_seconds=60)
    machine.pass_time(60)
    error = refuse(machine, event, id, **fields)
    assert isinstance(error, CallbackTimeout)
    assert (error.code, error.http_status) == ("CallbackTimeoutException", 400)


@answers
def test_an_answer_after_the_end_of_the_execution_is_an_error(
    event: type, fields: dict[str, object]
) -> None:
    machine, id = waiting()
    machine.send(ev.Stopped, error=BOOM)
    error = refuse(machine, event, id, **fields)
    assert str(error) == "The callback's execution has ended."
    assert machine.op().status is OperationStatus.STARTED


@pytest.mark.parametrize(
    "id",
    [
        "",
        "garbage",
        "%%%",
        "é",
        base64.b64encode(b"\xff\xfe").decode(),
        tokens.callback_id(ARN, "step"),
        tokens.callback_id(ARN, "nobody"),
        tokens.callback_id(ARN.replace("o-1", "o-2"), "op"),
    ],
)
@answers
def test_ids_that_are_none(event: type, fields: dict[str, object], id: str) -> None:
    machine = invoked(start(CALLBACK), start(STEP, "step"))
    assert str(refuse(machine, event, id, **fields)) == "Invalid callback id."


def test_every_callback_has_an_id_of_its_own() -> None:
    machine = invoked(start(CALLBACK, "a"), start(CALLBACK, "b"))
    machine.send(ev.CallbackSucceeded, callback_id=machine.op("a").callback_id)
    assert machine.op("a").status is OperationStatus.SUCCEEDED
    assert machine.op("b").status is OperationStatus.STARTED


def test_a_result_may_be_256_kib() -> None:
    machine, id = waiting()
    limit = 256 * 1024
    error = refuse(machine, ev.CallbackSucceeded, id, result="x" * (limit + 1))
    assert isinstance(error, InvalidParameterValue)
    assert str(error) == (
        f"CALLBACK result payload size must be less than or equal to {limit} bytes."
    )
    machine.send(ev.CallbackSucceeded, callback_id=id, result="x" * limit)
    assert machine.op().status is OperationStatus.SUCCEEDED


def test_an_error_may_be_32_kib() -> None:
    machine, id = waiting()
    limit = 32 * 1024
    error = refuse(machine, ev.CallbackFailed, id, error=ErrorObject("x" * (limit + 1)))
    assert str(error) == f"CALLBACK error size must be less than or equal to {limit} bytes."
    machine.send(ev.CallbackFailed, callback_id=id, error=ErrorObject("x" * limit))
    assert machine.op().status is OperationStatus.FAILED
