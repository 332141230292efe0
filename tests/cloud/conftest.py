"""Functions that are deployed, on a gateway of the runner's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from examples.callbacks import hand_over
from gateway import handlers

from async_durable_execution_runner import (
    DurableFunctionCloudTestRunner,
    DurableFunctionTestRunner,
)
from async_durable_execution_runner.aws.api import Client, make_client

POLL = 0.02
Runner = DurableFunctionTestRunner | DurableFunctionCloudTestRunner


class CountingClock:
    """Time that passes only while somebody waits, and then at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> CountingClock:
    return CountingClock()


@pytest.fixture
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
    for name in (*keys, "DEFAULT_REGION", "REGION", "PROFILE", "ENDPOINT_URL"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


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
