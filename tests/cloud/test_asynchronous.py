"""The asynchronous runner, and what only deployed functions show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from async_durable_execution import ErrorObject

from async_durable_execution_runner import (
    AsyncDurableFunctionCloudTestRunner,
    DurableFunctionCloudTestRunner,
    DurableFunctionTestRunner,
    InvocationStatus,
    RunnerError,
)
from async_durable_execution_runner.aws.api import Client
from cloud.conftest import POLL

pytestmark = pytest.mark.processes


@pytest.fixture
async def runner(client: Client) -> AsyncIterator[AsyncDurableFunctionCloudTestRunner]:
    async with AsyncDurableFunctionCloudTestRunner(
        "order", client=client, poll_interval=POLL
    ) as runner:
        yield runner


async def test_run(runner: AsyncDurableFunctionCloudTestRunner) -> None:
    result = await runner.run({"a": 1}, timeout=30)
    assert result.get_deserialized_result() == {"a": 1}
    results = await runner.run_many([1, 2], timeout=30)
    assert [each.result for each in results] == ["1", "2"]


async def test_while_it_waits_others_go_on(runner: AsyncDurableFunctionCloudTestRunner) -> None:
    handle = await runner.start(function_name="approval")
    end = asyncio.create_task(handle.result(timeout=30))
    callback_id = await runner.wait_for_callback(handle, "approval", timeout=30)
    assert not end.done()
    await runner.send_callback_heartbeat(callback_id)
    await runner.send_callback_success(callback_id, "yes")
    assert (await end).get_deserialized_result() == {"approved": "yes"}
    assert "approval · SUCCEEDED" in await handle.describe()
    assert (await handle.history())[-1].event_type == "ExecutionSucceeded"


async def test_a_callback_is_refused(runner: AsyncDurableFunctionCloudTestRunner) -> None:
    arn = await runner.run_async(function_name="approval")
    callback_id = await runner.wait_for_callback(timeout=30)
    await runner.send_callback_failure(callback_id, ErrorObject.from_message("too much"))
    result = await runner.wait_for_result(arn, timeout=30)
    assert result.get_deserialized_result() == {"refused": "too much"}


async def test_stop(runner: AsyncDurableFunctionCloudTestRunner) -> None:
    handle = await runner.start(function_name="approval")
    await handle.run_until_suspended(timeout=30)
    await runner.stop(handle, "closed")
    result = await handle.result(timeout=30)
    assert (result.status, result.error.message) == (InvocationStatus.STOPPED, "closed")


def test_an_endpoint_is_all_that_is_needed(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No region, no credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with DurableFunctionCloudTestRunner("order", lambda_endpoint=endpoint) as runner:
        assert runner.run(1, timeout=30).result == "1"


def test_a_completed_callback_is_found_by_name(
    cloud: DurableFunctionCloudTestRunner, client: Client, deployed: DurableFunctionTestRunner
) -> None:
    handle = cloud.start(function_name="impatient")
    first = cloud.wait_for_callback(handle, "first", timeout=30)
    deployed.advance(timedelta(seconds=2), handle.arn)
    second = cloud.wait_for_callback(handle, timeout=30)
    assert second != first
    assert cloud.wait_for_callback(handle, "first", timeout=30) == first
    cloud.send_callback_success(second, "yes")
    handle.result(timeout=30)
    with DurableFunctionCloudTestRunner("order", client=client) as another:
        assert another.wait_for_callback(handle.arn, "second", timeout=30) == second


def test_time_passes_by_itself(cloud: DurableFunctionCloudTestRunner) -> None:
    handle = cloud.start(function_name="approval")
    with pytest.raises(RunnerError, match="passes by itself"):
        handle.advance(1)
    cloud.stop()
    assert handle.result(timeout=30).status is InvocationStatus.STOPPED


def test_a_plain_function_is_not_durable(cloud: DurableFunctionCloudTestRunner) -> None:
    with pytest.raises(RunnerError, match="durable function"):
        cloud.start(function_name="plain")
