from async_durable_execution_runner import DurableFunctionTestRunner, InvocationStatus

from order import order_workflow


def test_order():
    with DurableFunctionTestRunner(handler=order_workflow, workers=4) as runner:
        result = runner.run(input={"order_id": "o-1"}, timeout=10)
    assert result.status is InvocationStatus.SUCCEEDED, result.describe()
    assert result.get_step("charge").result == '"paid"'
    assert result.get_deserialized_result() == {"order_id": "o-1", "payment": "paid"}
