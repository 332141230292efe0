"""Functions that are deployed, on a gateway of the runner's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from aws.conftest import clock
from examples.callbacks import hand_over
from gateway import handlers

from async_durable_execution_runner import (
    DurableFunctionCloudTestRunner,
    DurableFunctionTestRunner,
)
from async_durable_execution_runner.aws.api import Client, make_client

__all__ = ["clock"]

POLL = 0.02
Runner = DurableFunctionTestRunner | DurableFunctionCloudTestRunner


@pytest.fixture(scope="package")
def deployed() -> Iterator[DurableFunctionTestRunner]:
    with DurableFunctionTestRunner(handler=handlers.order, workers=2) as runner:
        for name in ("refused", "approval", "impatient"):
            runner.register_durable_function(name, getattr(handlers, name))
        runner.register_durable_function("hand-over", hand_over)
        runner.register_durable_function(
            "short", handlers.approval, execution_timeout=timedelta(minutes=5)
        )
        runner.register_function("plain", handlers.plain)
        yield runner


@pytest.fixture(scope="package")
def endpoint(deployed: DurableFunctionTestRunner) -> str:
    return deployed.serve_aws_api()


@pytest.fixture(scope="package")
def client(endpoint: str) -> Client:
    # Making one takes boto3 a second.
    return make_client(None, endpoint)


@pytest.fixture
def cloud(client: Client) -> Iterator[DurableFunctionCloudTestRunner]:
    with DurableFunctionCloudTestRunner("order", client=client, poll_interval=POLL) as runner:
        yield runner


@pytest.fixture(params=["local", "cloud"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """The same functions, run here or over HTTP."""
    fixture = {"local": "deployed", "cloud": "cloud"}[request.param]
    found: Runner = request.getfixturevalue(fixture)
    return found
