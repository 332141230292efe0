"""Functions that invoke each other, as the test that runs them sees it."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import pytest
from async_durable_execution import durable_execution, invoke

pytestmark = pytest.mark.processes


@durable_execution
async def ping(event: Any) -> Any:
    return await invoke("pong", event)


@durable_execution
async def pong(event: Any) -> Any:
    return await invoke("ping", event)


@durable_execution
async def fork(event: Any) -> Any:
    return await asyncio.gather(invoke("fork", event, name="a"), invoke("fork", event, name="b"))


@durable_execution
async def count(event: int) -> int:
    logging.getLogger("count").info("at %d", event)
    return await invoke("count", event - 1) if event else 0


def test_functions_that_invoke_each_other_without_end_are_a_time_out(
    make_durable_runner: Any,
) -> None:
    runner = make_durable_runner(ping, workers=1)
    runner.register_durable_function("pong", pong)
    with pytest.raises(TimeoutError) as caught:
        runner.run(timeout=1)
    assert "did not end within 1 s; it waits for the chained invoke, chained " in str(caught.value)
    assert " deep: ping → pong → ping → pong → …, whose execution arn:" in str(caught.value)


@durable_execution
async def by_arn(event: Any) -> Any:
    return [os.environ["AWS_REGION"], await invoke(event["target"], event)]


def where(event: Any, context: Any) -> str:
    return str(context.invoked_function_arn)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({}, "ap-south-1:123456789012"),
        ({"region": "eu-west-1", "account": "210987654321"}, "eu-west-1:210987654321"),
    ],
    ids=["of the environment", "chosen"],
)
def test_functions_are_in_the_region_and_account_of_their_runner(
    make_durable_runner: Any,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    place: str,
) -> None:
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    runner = make_durable_runner(by_arn, workers=1, **options)
    runner.register_function("where", where)
    arn = f"arn:aws:lambda:{place}:function:where"
    result = runner.run({"target": arn})
    assert result.get_deserialized_result() == [place.partition(":")[0], arn]
    assert result.execution_arn.startswith(f"arn:aws:lambda:{place}:function:by_arn:")
    elsewhere = runner.run({"target": "arn:aws:lambda:us-east-1:123456789012:function:where"})
    assert elsewhere.error is not None
    assert "on a function in another" in str(elsewhere.error.message)


def test_a_region_of_the_environment_that_is_none_is_said(
    make_durable_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "mars")
    with pytest.raises(ValueError, match="The environment variable AWS_REGION='mars' must be a"):
        make_durable_runner(by_arn)


def test_an_unregistered_function_comes_with_the_call_that_registers_it(
    make_durable_runner: Any,
) -> None:
    text = make_durable_runner(ping, workers=1).run().describe()
    assert "ResourceNotFoundException: Function not found: arn:" in text
    assert "'pong' is not registered with this runner: runner.register_durable_function(" in text


@pytest.mark.timeout(30)
def test_a_function_that_invokes_itself_twice_is_a_time_out(make_durable_runner: Any) -> None:
    with pytest.raises(TimeoutError, match=r"chained \d+ deep: fork → fork"):
        make_durable_runner(fork, workers=1).run(timeout=1)


def test_the_whole_of_a_chain_that_ended_is_heard(
    make_durable_runner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    make_durable_runner(count, workers=1).run(40)
    heard = [each.getMessage() for each in caplog.records if each.name == "count"]
    assert set(heard) == {f"at {number}" for number in range(41)}
