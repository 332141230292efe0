import logging
from datetime import timedelta

import pytest

from async_durable_execution_runner import InvocationStatus
from fakes import payments, payments_that_decline
from shop.orders import place_order

pytestmark = pytest.mark.durable(handler=place_order, worker_setup=payments)

BOOKS = {"order_id": "o-1", "items": ["book", "lamp"]}
PIANO = {"order_id": "o-2", "items": ["piano"]}


def test_an_order_is_paid_and_sent(durable_runner, caplog):
    caplog.set_level(logging.INFO)
    result = durable_runner.run(BOOKS)
    assert result.status is InvocationStatus.SUCCEEDED, result.describe()
    assert result.get_deserialized_result()["parcel"] == "parcel-o-1"
    assert result.get_wait("withdrawal").duration == timedelta(days=14)
    result.ledger.assert_effect_once("charge", key="o-1")
    assert "order o-1 is paid" in caplog.messages


def test_a_dear_order_is_sent_when_it_is_approved(durable_runner):
    order = durable_runner.start(PIANO)
    callback_id = durable_runner.wait_for_callback(order, name="approval")
    durable_runner.send_callback_success(callback_id)
    assert order.result().get_deserialized_result()["status"] == "sent"


def test_a_dear_order_that_nobody_approves_is_refunded(durable_runner):
    result = durable_runner.run(PIANO)
    assert result.get_deserialized_result()["status"] == "refunded"
    result.ledger.assert_effect_once("refund")


@pytest.mark.durable(handler=place_order, worker_setup=payments, faults="kill@effect:charge")
def test_a_charge_is_repeated_under_the_same_key(durable_runner):
    result = durable_runner.run(BOOKS)
    assert len(result.ledger) == 2
    result.ledger.assert_idempotent()


def test_a_declined_card_fails_the_order(make_durable_runner):
    result = make_durable_runner(place_order, worker_setup=payments_that_decline).run(BOOKS)
    assert result.status is InvocationStatus.FAILED
    assert result.get_step("charge").error.type == "CardDeclined"


@pytest.mark.explore_crashes(PIANO, callbacks={"approval": "yes"})
def test_an_approved_order_survives_every_crash(crash_report):
    crash_report.assert_ok()
