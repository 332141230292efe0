from __future__ import annotations

from datetime import timedelta

import pytest
from async_durable_execution import ErrorObject, OperationStatus

from async_durable_execution_runner import InvocationStatus

from .invokes import (
    fulfil_order,
    refuse_payment,
    refuse_payment_at_once,
    take_payment,
    take_payment_at_once,
)

ORDER = {"order_id": "o-1", "amount": 1200}


def test_durable_target(runner_for):
    runner = runner_for(fulfil_order)
    runner.register_durable_function("payments", take_payment)
    result = runner.run(input=ORDER, timeout=30)

    assert result.get_deserialized_result() == {"order": "paid", "payment": "o-1:1200"}
    payment = result.get_invoke("payment")
    assert payment.result == '"o-1:1200"'
    # The target is an execution of its own: here are no operations of it, but the time it took.
    assert result.operations == [payment]
    assert timedelta(days=1) <= payment.duration < timedelta(days=2)
    assert len(result.invocations) == 2


def test_plain_target(runner_for):
    runner = runner_for(fulfil_order)
    runner.register_function("payments", take_payment_at_once)
    result = runner.run(input=ORDER, timeout=30)

    assert result.get_deserialized_result()["payment"] == {"paid": 1200, "by": "payments"}
    assert result.get_invoke("payment").status is OperationStatus.SUCCEEDED


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "plain"])
def test_failing_target(runner_for, durable):
    runner = runner_for(fulfil_order)
    if durable:
        runner.register_durable_function("payments", refuse_payment)
    else:
        runner.register_function("payments", refuse_payment_at_once)
    result = runner.run(input=ORDER, timeout=30)

    assert result.get_deserialized_result() == {
        "order": "cancelled",
        "because": "CardRefused",
        "text": "no credit for o-1",
    }
    assert result.get_invoke("payment").status is OperationStatus.FAILED


def test_target_that_is_not_there(runner_for):
    result = runner_for(fulfil_order).run(input=ORDER, timeout=30)

    assert result.status is InvocationStatus.SUCCEEDED
    assert result.get_deserialized_result()["because"] == "ResourceNotFoundException"
    assert "payments:live" in result.get_invoke("payment").error.message


def test_mocked_result(runner_for):
    runner = runner_for(fulfil_order)
    runner.mock_function("payments", result={"paid": True})
    result = runner.run(input=ORDER, timeout=30)

    assert result.get_deserialized_result()["payment"] == {"paid": True}
    assert result.get_invoke("payment").result == '{"paid": true}'


def test_mocked_error(runner_for):
    runner = runner_for(fulfil_order)
    runner.mock_function("payments", error=ErrorObject(message="closed", type="BankHoliday"))
    result = runner.run(input=ORDER, timeout=30)

    assert result.get_deserialized_result()["because"] == "BankHoliday"
    assert result.get_invoke("payment").error.message == "closed"


def test_mock_that_looks_at_its_input(runner_for):
    seen = []

    def payments(event):
        seen.append(event)
        return event["amount"] // 100

    runner = runner_for(fulfil_order)
    runner.mock_function("payments", side_effect=payments)
    result = runner.run(input=ORDER, timeout=30)

    assert result.get_deserialized_result()["payment"] == 12
    assert result.get_invoke("payment").result == "12"
    assert seen == [ORDER]
