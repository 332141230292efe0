"""The same workflow with its worker killed at every moment at which it can die."""

from async_durable_execution_runner import DurableFunctionTestRunner

from order import order_workflow


def test_order_survives_every_crash():
    with DurableFunctionTestRunner(handler=order_workflow, workers=2) as runner:
        runner.explore_crashes({"order_id": "o-1"}).assert_ok()
