"""The runners for asynchronous tests, end to end: ours, and the one with the SDK's interface."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import async_durable_execution as sdk
import pytest
from async_durable_execution import (
    ErrorObject,
    create_callback,
    durable_execution,
    invoke,
    step,
    wait,
)

from async_durable_execution_runner import (
    AsyncDurableFunctionTestRunner,
    DurableFunctionLocalTestRunner,
    DurableFunctionTestRunner,
    InvocationStatus,
    NotStarted,
    create_local_runner,
)

pytestmark = pytest.mark.processes


@durable_execution
async def echo(event: Any) -> Any:
    return event


@durable_execution
async def approval(event: Any) -> Any:
    callback = await create_callback(name="approval")
    return await callback.result()


@durable_execution
async def two_approvals(event: Any) -> Any:
    first, second = await create_callback(name="first"), await create_callback(name="second")
    return [await first.result(), await second.result()]


async def one() -> int:
    return 1


@durable_execution
async def step_and_wait(event: Any) -> int:
    number = await step(one, name="one")
    await wait(timedelta(hours=1), name="pause")
    return number


@durable_execution
async def calls_payments(event: Any) -> Any:
    return await invoke("payments", event, name="payment")


async def test_run() -> None:
    async with AsyncDurableFunctionTestRunner(handler=step_and_wait, workers=1) as runner:
        result = await runner.run(input={"order_id": "o-1"}, timeout=20)
    assert result.status is InvocationStatus.SUCCEEDED
    assert result.get_step("one").result == "1"


async def test_the_loop_goes_on_while_executions_run() -> None:
    async with AsyncDurableFunctionTestRunner(handler=approval, workers=2) as runner:

        async def answer() -> None:
            callback_id = await runner.wait_for_callback(name="approval", timeout=20)
            await runner.send_callback_success(callback_id, '"yes"')

        handle = await runner.start()
        _, result = await asyncio.gather(answer(), handle.result(timeout=20))
    assert result.get_callback("approval").result == '"yes"'


async def test_many_at_once() -> None:
    async with AsyncDurableFunctionTestRunner(handler=echo, workers=2) as runner:
        many = await runner.run_many(range(20))
        gathered = await asyncio.gather(*map(runner.run, range(20)))
    for results in (many, gathered):
        assert [result.get_deserialized_result() for result in results] == list(range(20))


async def test_a_cancelled_wait_is_given_up_at_once() -> None:
    async with AsyncDurableFunctionTestRunner(handler=approval, workers=1) as runner:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await runner.run(timeout=60)
        assert (await runner.status()).executions >= 1


async def test_handles_and_time() -> None:
    async with AsyncDurableFunctionTestRunner(handler=step_and_wait, workers=1) as runner:
        handle = await runner.run_until_suspended()
        assert (await handle.snapshot()).status is InvocationStatus.PENDING
        assert "wait pause" in await handle.describe()
        await handle.advance(timedelta(minutes=61))
        assert (await handle.history())[-1].event_type == "ExecutionSucceeded"
        assert (await runner.wait_for_result(handle)).status is InvocationStatus.SUCCEEDED
        arn = await runner.run_async()
        await runner.advance(timedelta(minutes=61), arn)
        stopped = await runner.start(skip_time=False)
        await stopped.run_until_suspended()
        await stopped.stop("enough")
        result = await stopped.result()
        assert (result.status, result.error.message) == (InvocationStatus.STOPPED, "enough")


async def test_time_is_advanced_for_the_execution_that_was_meant() -> None:
    async with AsyncDurableFunctionTestRunner(handler=step_and_wait, workers=1) as runner:
        first, last = await runner.run_until_suspended(), await runner.run_until_suspended()
        await runner.advance(timedelta(minutes=61), first)
        assert (await first.snapshot()).status is InvocationStatus.SUCCEEDED
        assert (await last.snapshot()).status is InvocationStatus.PENDING


async def test_what_is_started_is_what_was_asked_for() -> None:
    async with AsyncDurableFunctionTestRunner(handler=approval, workers=1) as runner:
        runner.register_durable_function("echo", echo)
        asked: dict[str, Any] = {"payload": '{"a":  1}', "function_name": "echo"}
        ran = await runner.run(**asked, execution_name="ran")
        started = await (await runner.start(**asked, execution_name="started")).result()
        for result, name in ((ran, "ran"), (started, "started")):
            assert (result.input, result.execution_name) == ('{"a":  1}', name)
        many = await runner.run_many([1, 2], function_name="echo")
        assert [result.get_deserialized_result() for result in many] == [1, 2]


async def test_callbacks_by_name() -> None:
    async with AsyncDurableFunctionTestRunner(handler=two_approvals, workers=1) as runner:
        handle = await runner.run_until_suspended()
        by_name = {name: await handle.wait_for_callback(name=name) for name in ("second", "first")}
        for name, callback_id in by_name.items():
            await runner.send_callback_success(callback_id, name)
        assert (await handle.result()).get_deserialized_result() == ["first", "second"]


async def test_callbacks_are_refused_and_kept_alive() -> None:
    async with AsyncDurableFunctionTestRunner(handler=approval, workers=1) as runner:
        handle = await runner.start()
        callback_id = await handle.wait_for_callback()
        await runner.send_callback_heartbeat(callback_id)
        await runner.send_callback_failure(callback_id, "no")
        result = await handle.result()
    assert result.status is InvocationStatus.FAILED
    assert result.get_callback("approval").error.message == "no"


async def test_functions_may_be_registered_while_it_is_open() -> None:
    async with AsyncDurableFunctionTestRunner(handler=calls_payments, workers=1) as runner:
        payments = runner.mock_function("payments", result=5)
        assert (await runner.run("x")).get_deserialized_result() == 5
        runner.register_durable_function("payments", echo)
        assert (await runner.run("x")).get_deserialized_result() == "x"
    assert payments.calls == ["x"]


async def test_a_runner_that_is_not_open_says_so() -> None:
    with pytest.raises(NotStarted, match="async with"):
        await AsyncDurableFunctionTestRunner(handler=echo).run(1)


def test_both_runners_have_the_same_methods() -> None:
    def shape(runner: type[Any]) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(runner, inspect.isfunction)
            if not name.startswith("_")
        }

    assert shape(AsyncDurableFunctionTestRunner) == shape(DurableFunctionTestRunner)


# -- the SDK's interface -----------------------------------------------------------------------

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
