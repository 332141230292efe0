from __future__ import annotations

from datetime import timedelta

import pytest
from async_durable_execution import ErrorObject, OperationStatus

from async_durable_execution_runner import InvocationStatus

from .callbacks import first_answer, hand_over, refund


def test_callback_is_answered(runner_for):
    runner = runner_for(refund)
    handle = runner.start(input={"amount": 500})
    callback_id = runner.wait_for_callback(handle, name="approval", timeout=30)
    runner.send_callback_success(callback_id, '{"by": "ann"}')
    result = handle.result(timeout=30)

    assert result.get_deserialized_result() == {"refunded": 500, "approved_by": "ann"}
    assert result.get_callback("approval").callback_id == callback_id
    assert callback_id in result.get_step("ask").result
    # Nobody had to wait: the answer came before the clock was moved.
    assert result.duration < timedelta(hours=1)


def test_callback_is_refused(runner_for):
    runner = runner_for(refund)
    handle = runner.start(input={"amount": 500})
    callback_id = runner.wait_for_callback(handle, name="approval", timeout=30)
    runner.send_callback_failure(callback_id, ErrorObject.from_message("too much"))
    result = handle.result(timeout=30)

    assert result.get_deserialized_result() == {"refunded": 0, "because": "too much"}
    assert result.get_callback("approval").status is OperationStatus.FAILED


def test_nobody_answers(runner_for):
    """Without a sign of life the heartbeat's time-out is the first to pass."""
    result = runner_for(refund).run(input={"amount": 500}, timeout=30)

    assert result.status is InvocationStatus.SUCCEEDED
    assert result.get_deserialized_result()["refunded"] == 0
    approval = result.get_callback("approval")
    assert approval.status is OperationStatus.TIMED_OUT
    assert approval.error.type == "Callback.Heartbeat"
    assert approval.duration == timedelta(hours=8)


def test_signs_of_life_but_no_answer(runner_for):
    """Heartbeats put off the one time-out, not the other."""
    runner = runner_for(refund)
    handle = runner.start(input={"amount": 500})
    callback_id = runner.wait_for_callback(handle, name="approval", timeout=30)
    for _ in range(10):
        runner.advance(timedelta(hours=7))
        runner.send_callback_heartbeat(callback_id)
    runner.advance(timedelta(hours=7))
    result = handle.result(timeout=30)

    approval = result.get_callback("approval")
    assert approval.status is OperationStatus.TIMED_OUT
    assert approval.error.type == "Callback.Timeout"
    assert approval.duration == timedelta(days=3)
    assert result.get_deserialized_result()["refunded"] == 0


def test_wait_for_callback(runner_for):
    runner = runner_for(hand_over)
    handle = runner.start(input={"order_id": "o-1"})
    runner.send_callback_success(
        runner.wait_for_callback(handle, name="courier", timeout=30), "signed by bob"
    )
    result = handle.result(timeout=30)

    assert result.get_deserialized_result() == {"order_id": "o-1", "receipt": "signed by bob"}
    assert [child.name for child in result.get_context("courier").child_operations] == [
        "courier-callback",
        "courier-submitter",
    ]


def test_wait_for_callback_in_vain(runner_for):
    result = runner_for(hand_over).run(input={"order_id": "o-1"}, timeout=30)

    assert result.status is InvocationStatus.FAILED
    assert result.error.message == "Callback timed out: Callback.Timeout"
    assert result.get_callback("courier-callback").duration == timedelta(days=1)


@pytest.mark.parametrize(
    ("offer_minutes", "open_minutes", "outcome"),
    [(1, 60, "lapsed: Callback timed out: Callback.Timeout"), (60, 1, "closed")],
)
def test_whatever_is_due_first_wins(runner_for, offer_minutes, open_minutes, outcome):
    result = runner_for(first_answer).run(
        input={"offer_minutes": offer_minutes, "open_minutes": open_minutes}, timeout=30
    )

    assert result.get_deserialized_result() == outcome
    assert timedelta(minutes=1) <= result.duration < timedelta(minutes=60)
    callback, shop = result.get_callback("offer"), result.get_wait("open")
    assert (callback.end_timestamp is None) is (outcome == "closed")
    assert (shop.end_timestamp is None) is (outcome != "closed")
