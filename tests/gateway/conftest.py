"""A runner whose functions are served, and unmodified boto3 to ask for them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner
from gateway import handlers
from gateway.clients import Client, client_for

PLAIN = ("plain", "talkative", "failing", "exiting", "large")
DURABLE = ("refused", "approval", "impatient")


@pytest.fixture(scope="package")
def runner() -> Iterator[DurableFunctionTestRunner]:
    with DurableFunctionTestRunner(handler=handlers.order, workers=2) as runner:
        for name in DURABLE:
            runner.register_durable_function(name, getattr(handlers, name))
        for name in PLAIN:
            runner.register_function(name, getattr(handlers, name))
        runner.register_function("sleeping", handlers.sleeping, invocation_timeout=0.3)
        runner.register_durable_function("order:live", handlers.order)
        runner.register_durable_function(
            "long", handlers.order, execution_timeout=timedelta(hours=1)
        )
        runner.register_durable_function(
            "short", handlers.approval, execution_timeout=timedelta(minutes=5)
        )
        yield runner


@pytest.fixture(scope="package")
def endpoint(runner: DurableFunctionTestRunner) -> str:
    return runner.serve_aws_api()


@pytest.fixture(scope="package")
def client(endpoint: str) -> Client:
    return client_for(endpoint)


@pytest.fixture
def start(client: Client) -> Callable[..., str]:
    """Starts an execution over HTTP; its ARN."""

    def start(function: str, payload: bytes = b"{}", **given: Any) -> str:
        answer = client.invoke(
            FunctionName=function, InvocationType="Event", Payload=payload, **given
        )
        assert answer["StatusCode"] == 202
        return str(answer["DurableExecutionArn"])

    return start


@pytest.fixture
def name() -> str:
    """Of an execution, and nobody else's."""
    return f"test-{uuid.uuid4()}"
