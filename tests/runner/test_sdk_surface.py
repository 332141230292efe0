"""The runner with the SDK's interface, end to end."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
from collections.abc import Callable
from typing import Any

import async_durable_execution as sdk
import pytest
from async_durable_execution import ErrorObject, durable_execution, step

from async_durable_execution_runner import (
    DurableFunctionLocalTestRunner,
    DurableFunctionTestRunner,
    RunnerError,
    create_local_runner,
)

from .test_aio import approval, calls_payments, echo, one

pytestmark = pytest.mark.processes

Create = Callable[..., Any]


@pytest.fixture(params=["sdk", "ours"])
def create(request: pytest.FixtureRequest) -> Create:
    """The same suite for the SDK's runner, which is what it was written for, and for ours."""
    return sdk.create_local_runner if request.param == "sdk" else create_local_runner


def test_our_factory_has_the_sdk_s_signature() -> None:
    theirs, mine = (
        inspect.signature(factory).parameters
        for factory in (sdk.create_local_runner, create_local_runner)
    )
    assert list(theirs) == list(mine)
    for name, parameter in theirs.items():
        assert (parameter.kind, parameter.default) == (mine[name].kind, mine[name].default)


async def test_sdk_suite_a_result(create: Create) -> None:
    async with create(handler=echo, input={"order_id": "order-123"}, timeout=10) as runner:
        result = await runner.run()
    assert result.status is sdk.InvocationStatus.SUCCEEDED
    assert result.result == json.dumps({"order_id": "order-123"})
    assert result.get_deserialized_result() == {"order_id": "order-123"}
    assert runner.mode == "local"


async def test_sdk_suite_operations(create: Create) -> None:
    @durable_execution
    async def handler(event: Any) -> int:
        return await step(one, name="one")

    async with create(handler=handler, timeout=10) as runner:
        result = await runner.run()
    operation = result.get_step("one")
    assert operation.operation_type is sdk.OperationType.STEP
    assert operation.status is sdk.OperationStatus.SUCCEEDED
    assert operation.step_details.result == "1"
    assert result.get_operation_by_name("one") is operation
    assert result.get_operation_deserialized_result(operation) == 1
    assert [each.name for each in result.operations] == ["one"]
    assert result.get_all_operations() == result.operations
    assert result.get_child_operations(operation) == []


async def test_sdk_suite_callbacks(create: Create) -> None:
    async with create(handler=approval, poll_interval=0.01, timeout=10) as runner:
        arn = await runner.run_async()
        callback_id = await runner.wait_for_callback(arn, name="approval", timeout=10)
        await runner.send_callback_heartbeat(callback_id)
        await runner.send_callback_success(callback_id, b'"yes"')
        result = await runner.wait_for_result(arn, timeout=10)
    assert result.status is sdk.InvocationStatus.SUCCEEDED
    assert result.get_callback("approval").callback_details.result == '"yes"'


async def test_sdk_suite_a_refused_callback(create: Create) -> None:
    async with create(handler=approval, poll_interval=0.01, timeout=10) as runner:
        arn = await runner.run_async()
        callback_id = await runner.wait_for_callback(arn, timeout=10)
        await runner.send_callback_failure(callback_id, ErrorObject.from_message("no"))
        result = await runner.wait_for_result(execution_arn=arn, timeout=10)
    assert result.status is sdk.InvocationStatus.FAILED
    assert result.get_callback("approval").callback_details.error.message == "no"


async def test_sdk_suite_a_time_out(create: Create) -> None:
    async with create(handler=approval, poll_interval=0.01, timeout=1) as runner:
        with pytest.raises(TimeoutError):
            await runner.wait_for_result(await runner.run_async(), timeout=0.2)


async def test_the_local_runner_waits_as_long_as_it_is_told_to() -> None:
    async with create_local_runner(handler=approval, timeout=1) as runner:
        with pytest.raises(TimeoutError, match="did not end within 1 s"):
            await runner.run()
        arn = await runner.run_async()
        with pytest.raises(TimeoutError, match="was open"):
            async with asyncio.timeout(20):
                await runner.wait_for_callback(arn, name="nonsense", timeout=0.2)


async def test_a_mocked_function_by_the_sdk_s_name() -> None:
    """Only ours: the SDK's runner takes five seconds for it."""
    async with create_local_runner(handler=calls_payments, input={"n": 1}, timeout=20) as runner:
        runner.mock_invoke_result("payments", {"paid": True})
        result = await runner.run()
    details = result.get_invoke("payment").chained_invoke_details
    assert details.result == json.dumps({"paid": True})


async def test_the_local_runner_works_in_a_plain_with() -> None:
    with create_local_runner(handler=echo, input=[1], timeout=10) as runner:
        assert (await runner.run()).result == "[1]"


def test_the_local_runner_works_without_a_block_and_on_several_loops() -> None:
    runner = create_local_runner(handler=echo, input=1, timeout=10)
    assert asyncio.run(runner.run()).result == "1"

    async def twice() -> list[Any]:
        return await asyncio.gather(runner.run(), runner.run())

    assert [result.result for result in asyncio.run(twice())] == ["1", "1"]
    runner.close()


@pytest.mark.usefixtures("own_cluster")
def test_a_local_runner_that_nobody_closed_is_closed_when_it_is_forgotten() -> None:
    async def status(runner: DurableFunctionLocalTestRunner) -> Any:
        await runner.run()
        return await runner._engine.status()

    with DurableFunctionTestRunner(handler=echo, workers=1) as other:
        before = other.status().executions
        runner = create_local_runner(handler=echo, input=1, timeout=10)
        assert asyncio.run(status(runner)).executions == before + 1
        del runner
        gc.collect()
        other.run(2)
        assert other.status().executions == before + 1


def test_it_says_that_it_needs_asyncio() -> None:
    # The loop of another library drives coroutines as this does.
    with pytest.raises(RunnerError, match="needs asyncio, which does not run here"):
        create_local_runner(handler=echo).run().send(None)
