from __future__ import annotations

from datetime import timedelta

from async_durable_execution_runner import InvocationStatus

from .orders import place_order


def test_order_takes_its_time_and_every_step_is_on_record(runner_for):
    runner = runner_for(place_order)
    result = runner.run(input={"order_id": "o-1", "items": ["book", "lamp"]}, timeout=30)

    assert result.status is InvocationStatus.SUCCEEDED
    assert result.get_deserialized_result() == {
        "order_id": "o-1",
        "payment": "payment-o-1-5700",
        "label": "label-o-1",
        "courier": "courier for label-o-1",
    }
    assert [operation.name for operation in result.operations] == [
        "price-book",
        "price-lamp",
        "charge",
        "withdrawal-period",
        "ship",
    ]
    assert result.get_step("price-lamp").result == "4500"
    assert result.get_wait("withdrawal-period").duration == timedelta(days=14)
    assert [child.name for child in result.get_context("ship").child_operations] == [
        "label",
        "courier",
    ]
    assert [invocation.outcome for invocation in result.invocations] == ["PENDING", "SUCCEEDED"]


def test_many_orders_at_once_each_on_its_own_clock(runner_for):
    orders = [{"order_id": f"o-{number}", "items": ["book"]} for number in range(5)]

    results = runner_for(place_order).run_many(orders, timeout=30)

    assert [result.get_deserialized_result()["order_id"] for result in results] == [
        order["order_id"] for order in orders
    ]
    assert all(result.get_context("ship").get_step("label").result for result in results)
    # A jump of one order's clock over 14 days does not show on another's.
    assert all(result.duration < timedelta(days=15) for result in results)
