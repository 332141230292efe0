"""A Lambda that answers what the test says, in this order, through botocore's own stubber."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from async_durable_execution_runner import DurableFunctionCloudTestRunner, RunnerError

ARN = (
    "arn:aws:lambda:eu-west-1:123456789012:function:order:3/durable-execution/o-1/"
    "0a1b2c3d-0000-4000-8000-000000000000"
)
START = datetime(2026, 1, 1, tzinfo=UTC)


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


def lambda_client() -> Any:
    return boto3.client(
        "lambda",
        region_name="eu-west-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )


class Script:
    def __init__(self, stubber: Stubber) -> None:
        self._stubber = stubber

    def invoked(self, **expected: Any) -> None:
        self._stubber.add_response(
            "invoke", {"StatusCode": 202, "DurableExecutionArn": ARN}, expected or None
        )

    def execution(self, status: str, **members: Any) -> None:
        self._stubber.add_response(
            "get_durable_execution",
            {
                "DurableExecutionArn": ARN,
                "DurableExecutionName": "o-1",
                "FunctionArn": ARN.partition("/")[0],
                "StartTimestamp": START,
                "Status": status,
            }
            | members,
        )

    def history(self, *events: dict[str, Any], marker: str = "", **expected: Any) -> None:
        given: dict[str, Any] = {"DurableExecutionArn": ARN, "IncludeExecutionData": True}
        self._stubber.add_response(
            "get_durable_execution_history",
            {"Events": list(events)} | ({"NextMarker": marker} if marker else {}),
            given | {"MaxItems": 1000} | expected,
        )

    def answered(self, method: str) -> None:
        self._stubber.add_response(method, {})

    def refused(self, method: str, code: str, status: int = 400, message: str = "no") -> None:
        self._stubber.add_client_error(method, code, message, status)

    def done(self) -> None:
        """All of it was asked for."""
        self._stubber.assert_no_pending_responses()


@contextmanager
def scripted(
    clock: CountingClock, **options: Any
) -> Iterator[tuple[DurableFunctionCloudTestRunner, Script]]:
    client = lambda_client()
    with (
        Stubber(client) as stubber,
        DurableFunctionCloudTestRunner("order", client=client, clock=clock, **options) as runner,
    ):
        yield runner, Script(stubber)


def event(number: int, kind: str, id: str | None = None, **members: Any) -> dict[str, Any]:
    """`members` with a capital are of its details, others of the event itself."""
    details = {key: value for key, value in members.items() if key[0].isupper()}
    own = {key.capitalize(): value for key, value in members.items() if key[0].islower()}
    if "parent" in members:
        own["ParentId"] = own.pop("Parent")
    return {
        "EventId": number,
        "EventType": kind,
        "EventTimestamp": START + timedelta(seconds=number),
        **({"Id": id} if id is not None else {}),
        f"{kind}Details": details,
        **own,
    }


STARTED = event(1, "ExecutionStarted", "e", Input={"Payload": "{}"}, ExecutionTimeout=60)
ENDED = event(9, "ExecutionSucceeded", "e", Result={"Payload": "1"})


def callback(number: int, name: str, **members: Any) -> dict[str, Any]:
    return event(number, "CallbackStarted", f"c{number}", name=name, CallbackId=f"id-{number}")


def sentence(error: pytest.ExceptionInfo[RunnerError]) -> str:
    """The text of an error, which is one."""
    text = str(error.value)
    assert "\n" not in text
    return text
