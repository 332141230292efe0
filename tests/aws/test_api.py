"""The calls themselves, and the clients that make them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.stub import Stubber

from async_durable_execution_runner import (
    DurableFunctionCloudTestRunner,
    LambdaCallFailed,
    NotStarted,
)
from async_durable_execution_runner.aws.api import ATTEMPTS, LambdaApi, make_client
from async_durable_execution_runner.client.drive import drive

from .scripted import ARN, START, CountingClock, lambda_client, sentence

LOCAL = "http://127.0.0.1:3001"
STOPPED = {"StopTimestamp": START}


@pytest.fixture
def stub(clock: CountingClock) -> Iterator[tuple[LambdaApi, Stubber]]:
    client = lambda_client()
    with Stubber(client) as stubber:
        yield LambdaApi(client, clock, jitter=lambda: 1.0), stubber
        stubber.assert_no_pending_responses()


def test_pauses_double_up_to_ten_seconds(
    stub: tuple[LambdaApi, Stubber], clock: CountingClock
) -> None:
    api, answers = stub
    for _ in range(ATTEMPTS - 1):
        answers.add_client_error("stop_durable_execution", "Throttling", "slow down", 400)
    answers.add_response("stop_durable_execution", STOPPED)
    drive(api.stop(ARN, None))
    assert clock.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]


def test_what_is_given_is_sent_and_nothing_else(stub: tuple[LambdaApi, Stubber]) -> None:
    api, answers = stub
    error = {"ErrorType": "Boom"}
    answers.add_response(
        "stop_durable_execution", STOPPED, {"DurableExecutionArn": ARN, "Error": error}
    )
    drive(api.stop(ARN, error))
    answers.add_response("stop_durable_execution", STOPPED, {"DurableExecutionArn": ARN})
    drive(api.stop(ARN, None))
    method = "send_durable_execution_callback_success"
    answers.add_response(method, {}, {"CallbackId": "id", "Result": b""})
    drive(api.callback_success("id", ""))
    answers.add_response(method, {}, {"CallbackId": "id"})
    drive(api.callback_success("id", None))


@pytest.mark.parametrize("first", ["an answer", "a refusal", "nothing"])
def test_an_endpoint_that_answered_before_is_asked_again(clock: CountingClock, first: str) -> None:
    """Where nobody ever did, the address is wrong."""
    client = lambda_client()
    api = LambdaApi(client, clock)
    with Stubber(client) as stubber:
        if first == "an answer":
            stubber.add_response("stop_durable_execution", STOPPED)
            drive(api.stop(ARN, None))
        elif first == "a refusal":
            stubber.add_client_error("stop_durable_execution", "AccessDeniedException")
            with pytest.raises(LambdaCallFailed):
                drive(api.stop(ARN, None))
    asked = []

    def gone(request: Any, **_: Any) -> None:
        asked.append(request)
        raise EndpointConnectionError(endpoint_url="here")

    client.meta.events.register("before-send.lambda", gone)
    with pytest.raises(LambdaCallFailed, match="Nobody answers"):
        drive(api.stop(ARN, None))
    assert len(asked) == (1 if first == "nothing" else ATTEMPTS)


@pytest.mark.parametrize(
    "lost",
    [
        ConnectionClosedError(endpoint_url="here"),
        ReadTimeoutError(endpoint_url="here"),
    ],
    ids=type,
)
def test_a_lost_connection_is_made_again(clock: CountingClock, lost: Exception) -> None:
    """Under the same name, so that there is one execution at most."""
    client = lambda_client()
    names: list[str] = []

    def lose(request: Any, **_: Any) -> None:
        names.append(request.headers["X-Amz-Durable-Execution-Name"])
        raise lost

    client.meta.events.register("before-send.lambda.Invoke", lose)
    with (
        DurableFunctionCloudTestRunner("order", client=client, clock=clock) as runner,
        pytest.raises(LambdaCallFailed, match=r"Invoke at https://lambda.eu-west-1"),
    ):
        runner.start()
    assert len(names) == ATTEMPTS
    assert len(set(names)) == 1
    assert names[0]


# -- clients ---------------------------------------------------------------------------------


def credentials(client: Any) -> str:
    return str(client._request_signer._credentials.access_key)


@pytest.mark.usefixtures("nothing_configured")
@pytest.mark.parametrize("endpoint", [LOCAL, "http://localhost:3001", "http://[::1]:3001"])
def test_a_gateway_on_this_machine_is_asked_with_any_credentials(endpoint: str) -> None:
    client = make_client(None, endpoint)
    assert (client.meta.region_name, credentials(client)) == ("us-east-1", "any")


@pytest.mark.usefixtures("nothing_configured")
def test_keys_that_go_while_a_client_is_made_take_nothing_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As those of a handler that runs inline do when it returns."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    class Session(boto3.Session):
        def client(self, *arguments: Any, **options: Any) -> Any:
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            return super().client(*arguments, **options)

    monkeypatch.setattr(boto3, "Session", Session)
    assert credentials(make_client(None, LOCAL)) == "mine"


@pytest.mark.usefixtures("nothing_configured")
@pytest.mark.parametrize("endpoint", ["https://lambda.example.org", "http://10.0.0.1:3001"])
def test_an_endpoint_elsewhere_needs_a_region(endpoint: str) -> None:
    with pytest.raises(LambdaCallFailed, match="No AWS region is configured"):
        make_client(None, endpoint)


@pytest.mark.usefixtures("nothing_configured")
def test_what_is_configured_goes_before_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client = make_client(None, LOCAL)
    assert (client.meta.region_name, credentials(client)) == ("eu-north-1", "mine")
    assert make_client("eu-west-1", LOCAL).meta.region_name == "eu-west-1"


@pytest.mark.usefixtures("nothing_configured")
def test_half_of_a_key_is_refused_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    with pytest.raises(LambdaCallFailed, match=r"Partial credentials .* AWS_SECRET_ACCESS_KEY"):
        make_client("eu-west-1", None)


def test_a_client_that_was_given_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    client, closed = lambda_client(), []
    monkeypatch.setattr(client, "close", lambda: closed.append(client))
    with DurableFunctionCloudTestRunner("order", client=client):
        pass
    assert closed == []


def test_a_name_that_is_none() -> None:
    with (
        DurableFunctionCloudTestRunner("", client=lambda_client()) as runner,
        pytest.raises(LambdaCallFailed) as caught,
    ):
        runner.start()
    assert "FunctionName" in sentence(caught)


@pytest.mark.usefixtures("nothing_configured")
def test_no_region() -> None:
    with (
        pytest.raises(LambdaCallFailed) as caught,
        DurableFunctionCloudTestRunner("order"),
    ):
        pass
    assert sentence(caught) == (
        "Lambda itself is to be asked, as neither lambda_endpoint= nor AWS_ENDPOINT_URL_LAMBDA is "
        "given, but no AWS region is configured: give region=, or set AWS_DEFAULT_REGION."
    )


@pytest.mark.usefixtures("nothing_configured")
def test_no_such_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nonsense")
    with (
        pytest.raises(LambdaCallFailed) as caught,
        DurableFunctionCloudTestRunner("order", "eu-west-1"),
    ):
        pass
    assert sentence(caught).startswith("No boto3 client can be made: The config profile (nonsense)")


@pytest.mark.usefixtures("nothing_configured")
def test_no_credentials() -> None:
    with (
        DurableFunctionCloudTestRunner("order", "eu-west-1") as runner,
        pytest.raises(LambdaCallFailed) as caught,
    ):
        runner.start()
    assert sentence(caught).startswith("No AWS credentials were found")


def test_nobody_at_the_endpoint(clock: CountingClock) -> None:
    with (
        DurableFunctionCloudTestRunner(
            "order", lambda_endpoint="http://127.0.0.1:9", clock=clock
        ) as runner,
        pytest.raises(LambdaCallFailed) as caught,
    ):
        runner.start()
    assert sentence(caught).startswith("Nobody answers at http://127.0.0.1:9")
    assert clock.pauses == []


def test_what_is_no_endpoint() -> None:
    with (
        pytest.raises(LambdaCallFailed, match="nonsense"),
        DurableFunctionCloudTestRunner("order", "eu-west-1", "nonsense"),
    ):
        pass


def test_outside_of_its_with() -> None:
    runner = DurableFunctionCloudTestRunner("order", "eu-west-1")
    with pytest.raises(NotStarted, match="use it in a `with`"):
        runner.start()


def test_a_client_has_its_region_and_endpoint() -> None:
    with pytest.raises(ValueError, match="not both"):
        DurableFunctionCloudTestRunner("order", "eu-west-1", client=lambda_client())
