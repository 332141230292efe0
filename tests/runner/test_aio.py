"""The runner for asynchronous tests, end to end."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta
from typing import Any

import pytest
from async_durable_execution import (
    create_callback,
    durable_execution,
    invoke,
    step,
    wait,
)

from async_durable_execution_runner import (
    AsyncDurableFunctionTestRunner,
    DurableFunctionTestRunner,
    InvocationStatus,
    NotStarted,
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


@pytest.mark.usefixtures("own_cluster")
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


def test_a_runner_serves_each_event_loop() -> None:
    """As where a fixture has a wider loop than its tests."""
    runner = AsyncDurableFunctionTestRunner(echo, workers=1)
    with asyncio.Runner() as wide:
        wide.run(runner.open())
        execution = wide.run(runner.start("wide"))
        for number in range(2):
            result = asyncio.run(runner.run(number))
            assert result.get_deserialized_result() == number
        assert asyncio.run(execution.result()).get_deserialized_result() == "wide"
        # The channels of loops that are closed are not kept.
        assert len(runner._transport._channels) == 2
        wide.run(runner.close())
