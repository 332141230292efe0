"""A runner whose functions are served, and unmodified boto3 to ask for them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config

from async_durable_execution_runner import DurableFunctionTestRunner
from gateway import handlers

Client = Any
PLAIN = ("plain", "talkative", "failing", "exiting", "large")
DURABLE = ("refused", "approval", "impatient")


def client_for(endpoint: str, key: str = "AKIDEXAMPLE", secret: str = "secret") -> Client:
    return boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 0}, read_timeout=60, max_pool_connections=100),
    )


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
