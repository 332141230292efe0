"""`serve_aws_api`: when it begins, when it ends, and what it costs those who do not ask."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from async_durable_execution_runner import (
    AsyncDurableFunctionTestRunner,
    DurableFunctionTestRunner,
    NotStarted,
)
from gateway import handlers
from gateway.clients import client_for


def test_a_coordinator_that_is_not_asked_does_not_load_it() -> None:
    program = (
        "import sys, async_durable_execution_runner.coordinator.server;"
        "print([m for m in ('botocore', 'uvicorn', 'h11',"
        "'async_durable_execution_runner.gateway') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"


def test_a_runner_that_is_not_open_serves_nothing() -> None:
    with pytest.raises(NotStarted):
        DurableFunctionTestRunner(handler=handlers.order).serve_aws_api()


@pytest.mark.processes
def test_it_ends_with_its_runner() -> None:
    with DurableFunctionTestRunner(handler=handlers.order) as runner:
        clients = [client_for(runner.serve_aws_api()) for _ in range(2)]
        for client in clients:
            (function,) = client.list_functions()["Functions"]
            assert function["FunctionName"] == "order"
    # The coordinator, which other runners share, sees the end of a stream.
    for client in clients:
        with pytest.raises(EndpointConnectionError):
            _ask_on(client)


def _ask_on(client: Any) -> None:
    while True:
        # One that is under way as the listener closes is cut off; the next finds nobody.
        with suppress(ConnectionClosedError):
            client.list_functions()


@pytest.mark.processes
async def test_from_an_asynchronous_runner() -> None:
    async with AsyncDurableFunctionTestRunner(handler=handlers.order) as runner:
        client = client_for(await runner.serve_aws_api())
        answer = await asyncio.to_thread(client.invoke, FunctionName="order", Payload=b"[7]")
        assert answer["Payload"].read() == b"[7]"
        result = await runner.wait_for_result(answer["DurableExecutionArn"])
        assert result.result == "[7]"


@pytest.mark.processes
def test_the_runner_s_faults_strike_what_is_started_over_http() -> None:
    with DurableFunctionTestRunner(handler=handlers.order, faults="kill@after-commit:1") as runner:
        client: Any = client_for(runner.serve_aws_api())
        answer = client.invoke(FunctionName="order", Payload=b"[7]")
        assert json.loads(answer["Payload"].read()) == [7]
        events = client.get_durable_execution_history(
            DurableExecutionArn=answer["DurableExecutionArn"]
        )["Events"]
        errors = [
            each["InvocationCompletedDetails"].get("Error")
            for each in events
            if each["EventType"] == "InvocationCompleted"
        ]
        assert errors[0]["Payload"]["ErrorType"] == "Runtime.ExitError"
        assert errors[1:] == [None, None]


@pytest.mark.processes
@pytest.mark.parametrize("isolation", ["execution", "invocation", "inline"])
def test_every_isolation_serves_both_kinds_of_functions(isolation: str) -> None:
    with DurableFunctionTestRunner(handler=handlers.order, isolation=isolation) as runner:
        runner.register_function("plain", handlers.plain)
        client: Any = client_for(runner.serve_aws_api())
        for _ in range(2):
            answer = client.invoke(FunctionName="plain", Payload=b"[7]", TenantId="acme")
            assert json.loads(answer["Payload"].read())["event"] == [7]
            assert client.invoke(FunctionName="order")["StatusCode"] == 200


@pytest.mark.processes
def test_a_request_has_the_id_of_the_invocation_that_it_made() -> None:
    with DurableFunctionTestRunner(handler=handlers.order) as runner:
        client: Any = client_for(runner.serve_aws_api())
        answer = client.invoke(FunctionName="order")
        request_id = answer["ResponseMetadata"]["RequestId"]
        result = runner.wait_for_result(answer["DurableExecutionArn"])
        assert result.invocations[0].request_id == request_id
