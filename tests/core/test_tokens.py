"""Who may checkpoint: tokens, and repeats by ClientToken."""

from __future__ import annotations

import re

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.model import OperationStatus
from async_durable_execution_runner.errors import (
    InvalidCheckpointToken,
    InvalidParameterValue,
    ServiceError,
)

from .machine import BOOM, EXECUTION, STEP, WAIT, Machine, invoked, start, succeed

MINUTE = 60_000


def refuse(machine: Machine, token: str) -> ServiceError:
    """Checkpoint with a token that must be refused and change nothing; the refusal."""
    before = machine.snapshot()
    with pytest.raises(ServiceError) as refused:
        machine.checkpoint(start(STEP, "late"), token=token)
    assert machine.snapshot() == before
    return refused.value


def assert_invalid_token(error: ServiceError) -> None:
    """The SDK retries on the prefix alone, in this case and spelling."""
    assert str(error) == "Invalid checkpoint token"
    assert isinstance(error, InvalidCheckpointToken)
    assert (error.code, error.http_status) == ("InvalidParameterValueException", 400)


def test_each_checkpoint_uses_its_token_up() -> None:
    machine = invoked()
    first = machine.token
    machine.checkpoint(start(STEP))
    assert machine.token != first
    assert_invalid_token(refuse(machine, first))
    machine.checkpoint(succeed(STEP))


def test_an_empty_checkpoint_uses_its_token_up_too() -> None:
    machine = invoked()
    first = machine.token
    machine.checkpoint()
    assert_invalid_token(refuse(machine, first))


def test_tokens_look_as_the_model_says() -> None:
    machine = invoked(start(STEP))
    assert re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", machine.token)


@pytest.mark.parametrize("token", ["", "garbage", "e30=", "é", "\ud800", "x" * 100_000])
def test_garbage_is_refused(token: str) -> None:
    assert_invalid_token(refuse(invoked(), token))


def test_a_token_of_another_execution_is_refused() -> None:
    other = Machine()
    (deliver,) = other.send(ev.InvocationStarted, request_id="request-1", seed="another seed")
    assert_invalid_token(refuse(invoked(), deliver.token))


def test_a_token_of_an_earlier_invocation_is_refused() -> None:
    machine = invoked(start(WAIT))
    zombie = machine.token
    machine.fails()
    assert_invalid_token(refuse(machine, zombie))
    machine.pass_time(1)
    machine.invoke()
    assert_invalid_token(refuse(machine, zombie))
    machine.checkpoint()


def test_a_token_of_an_invocation_that_suspended_is_refused() -> None:
    machine = invoked(start(WAIT))
    machine.suspends()
    assert_invalid_token(refuse(machine, machine.token))


def test_after_the_end_every_token_is_refused() -> None:
    machine = invoked(start(STEP))
    token = machine.token
    assert machine.checkpoint(succeed(EXECUTION, "e")).token is None
    assert_invalid_token(refuse(machine, token))
    assert_invalid_token(refuse(machine, ""))


def test_other_refusals_have_another_text() -> None:
    machine = invoked()
    with pytest.raises(InvalidParameterValue) as refused:
        machine.checkpoint(start(WAIT, wait_seconds=0))
    assert not isinstance(refused.value, InvalidCheckpointToken)
    assert "Invalid checkpoint token" not in str(refused.value)


# -- ClientToken -------------------------------------------------------------------------


def repeated(machine: Machine, **changes: object) -> dict[str, object]:
    """The fields of a request that was just accepted under ClientToken "c"."""
    request = {"token": machine.token, "updates": (start(STEP),), "client_token": "c"}
    machine.send(ev.Checkpoint, **request)
    return request | changes


def test_a_repeat_gets_the_first_answer() -> None:
    machine = invoked()
    request = repeated(machine)
    first, before = machine.commands, machine.snapshot()
    machine.now_ms += 15 * MINUTE
    assert machine.send(ev.Checkpoint, **request) == first
    assert machine.snapshot() == before


def test_after_15_minutes_it_is_a_repeat_no_more() -> None:
    machine = invoked()
    request = repeated(machine)
    machine.now_ms += 15 * MINUTE + 1
    with pytest.raises(InvalidCheckpointToken):
        machine.send(ev.Checkpoint, **request)


@pytest.mark.parametrize("updates", [(), (start(STEP, "other"),)], ids=["empty", "other"])
def test_the_same_client_token_with_another_payload_is_refused(updates: tuple[()]) -> None:
    machine = invoked()
    request = repeated(machine, updates=updates)
    before = machine.snapshot()
    for token in (request["token"], machine.commands[-1].token):
        with pytest.raises(InvalidParameterValue) as refused:
            machine.send(ev.Checkpoint, **(request | {"token": token}))
        assert str(refused.value) == "ClientToken was used before with another payload."
    assert machine.snapshot() == before


def test_the_right_client_token_makes_no_wrong_checkpoint_token_good() -> None:
    """Or whoever guesses a ClientToken would be given the newest checkpoint token."""
    machine = invoked()
    request = repeated(machine, token="garbage")
    with pytest.raises(InvalidCheckpointToken):
        machine.send(ev.Checkpoint, **request)


def test_a_refused_request_may_be_sent_again() -> None:
    machine = invoked()
    with pytest.raises(InvalidParameterValue):
        machine.checkpoint(start(WAIT, wait_seconds=0), client_token="c")
    machine.checkpoint(start(WAIT, wait_seconds=1), client_token="c")


def test_the_checkpoint_that_ended_the_execution_may_be_repeated() -> None:
    """Its answer may have been lost on the way, and it did end the execution."""
    machine = invoked()
    request = {"token": machine.token, "updates": (succeed(EXECUTION),), "client_token": "c"}
    machine.send(ev.Checkpoint, **request)
    reply = machine.commands[-1]
    assert machine.send(ev.Checkpoint, **request) == [reply]


def test_after_a_stop_no_repeat_is_answered() -> None:
    machine = invoked()
    request = repeated(machine)
    machine.send(ev.Stopped, error=BOOM)
    with pytest.raises(InvalidCheckpointToken):
        machine.send(ev.Checkpoint, **request)


def test_requests_without_client_token_are_never_repeats() -> None:
    machine = invoked()
    machine.checkpoint(start(STEP), client_token="")
    machine.checkpoint(succeed(STEP), client_token=None)
    machine.checkpoint(start(STEP, "b"), client_token="")
    assert machine.op().status is OperationStatus.SUCCEEDED
