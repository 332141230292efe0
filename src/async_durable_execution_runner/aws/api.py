"""Lambda through boto3: calls that are repeated where that helps, pages put together, and this
package's errors, each one sentence.

This module knows nothing of results or runners.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)

from .. import errors
from ..errors import LambdaCallFailed, RunnerError, ServiceError

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

Client = Any
"""A boto3 client of "lambda"; boto3 ships no types."""

#: How often a call is made at most, and the seconds between; the pause is doubled each time.
ATTEMPTS = 8
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_PAGE_EVENTS = 1000
_THROTTLED = {"TooManyRequestsException", "ThrottlingException", "Throttling", "ThrottledException"}
_DENIED = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
}
_ERRORS: Mapping[str, type[ServiceError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ServiceError) and "code" in vars(kind)
}


class Clock(Protocol):
    """What time is told and waited for with. A test may have one that only counts."""

    def time(self) -> float:
        """Seconds since any one moment."""

    async def sleep(self, seconds: float) -> None: ...


class BlockingClock:
    def time(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - its coroutines run on no event loop


class LoopClock:
    def time(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


_ENDPOINTS = ("AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL")
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def make_client(
    region: str | None,
    endpoint: str | None,
    patience: float = 60,
    options: tuple[str, str] = ("region=", "lambda_endpoint="),
) -> Client:
    """A boto3 client of "lambda" that does not repeat calls by itself.

    Args:
        region: The region; by default the one that is configured.
        endpoint: The URL to ask; by default that of the region. On loopback, such as for a
            gateway, any credentials will do where none are configured.
        patience: Seconds that an answer may take.
        options: How a user gives the region and the endpoint.

    Raises:
        LambdaCallFailed: No region is configured, or no client can be made.
    """
    given: dict[str, Any] = {}
    try:
        session = boto3.Session()
        if endpoint and _is_loopback(endpoint):
            region = region or session.region_name or "us-east-1"
            # The keys are read once: an inline handler in this process may have set them, and they
            # go with it.
            given = {name: os.environ.get(name.upper()) for name in _KEYS}
            if not (given["aws_access_key_id"] and given["aws_secret_access_key"]):
                given = {} if session.available_profiles else dict.fromkeys(_KEYS[:2], "any")
        return session.client(
            "lambda",
            region_name=region,
            endpoint_url=endpoint,
            config=Config(
                retries={"total_max_attempts": 1}, max_pool_connections=50, read_timeout=patience
            ),
            **given,
        )
    except NoRegionError as error:
        region_option, endpoint_option = options
        what = f"No AWS region is configured: give {region_option}, or set AWS_DEFAULT_REGION."
        if not (endpoint or any(os.environ.get(name) for name in _ENDPOINTS)):
            what = (
                f"Lambda itself is to be asked, as neither {endpoint_option} nor "
                f"AWS_ENDPOINT_URL_LAMBDA is given, but n{what[1:]}"
            )
        raise LambdaCallFailed(what) from error
    except (BotoCoreError, ValueError) as error:
        text = " ".join(str(error).split())
        raise LambdaCallFailed(f"No boto3 client can be made: {text}") from error


def account(region: str) -> str:
    """The number of the account that the configured credentials belong to, or why it is not
    known."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5)
    try:
        asked = boto3.client("sts", region_name=region, config=config).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return f"unknown ({' '.join(str(error).split())})"
    return str(asked["Account"])


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        # Connecting to 0.0.0.0 connects to this machine.
        return host == "localhost" or (
            ip_address(host).is_loopback or ip_address(host).is_unspecified
        )
    except ValueError:
        return False


class LambdaApi:
    """What runners ask of Lambda. The coroutines suspend only in `clock`, or where `in_threads`."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        in_threads: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """The API of a client.

        Args:
            client: A boto3 client of "lambda".
            clock: What pauses are made with.
            in_threads: Whether calls are made in threads, for an event loop that they must not
                block.
            jitter: A number from 0 to 1 by which each pause is multiplied.
        """
        self.client = client
        self.clock = clock
        self._in_threads = in_threads
        self._jitter = jitter
        self._reached = False

    async def invoke(self, function_name: str, payload: str, name: str, tenant: str | None) -> str:
        """Start an execution and return its ARN. Repeating this does not start a second execution,
        since the first has the name."""
        given = {"TenantId": tenant} if tenant is not None else {}
        answer = await self.call(
            "invoke",
            FunctionName=function_name,
            InvocationType="Event",
            Payload=payload.encode(),
            DurableExecutionName=name,
            **given,
        )
        arn: str | None = answer.get("DurableExecutionArn")
        if arn is None:
            raise LambdaCallFailed(
                f"{function_name!r} is not a durable function: Lambda started it, but no execution."
            )
        return arn

    async def execution(self, arn: str) -> dict[str, Any]:
        return await self.call("get_durable_execution", DurableExecutionArn=arn)

    async def history(self, arn: str) -> list[dict[str, Any]]:
        """All events of an execution's history, in order."""
        events: list[dict[str, Any]] = []
        given: dict[str, Any] = {
            "DurableExecutionArn": arn,
            "IncludeExecutionData": True,
            "MaxItems": _PAGE_EVENTS,
        }
        while True:
            page = await self.call("get_durable_execution_history", **given)
            events += page.get("Events", ())
            marker = page.get("NextMarker")
            if not marker:
                return events
            given["Marker"] = marker

    async def stop(self, arn: str, error: dict[str, Any] | None) -> None:
        given = {} if error is None else {"Error": error}
        await self.call("stop_durable_execution", DurableExecutionArn=arn, **given)

    async def callback_success(self, callback_id: str, result: str | None) -> None:
        given = {} if result is None else {"Result": result.encode()}
        await self.call("send_durable_execution_callback_success", CallbackId=callback_id, **given)

    async def callback_failure(self, callback_id: str, error: dict[str, Any]) -> None:
        await self.call(
            "send_durable_execution_callback_failure", CallbackId=callback_id, Error=error
        )

    async def callback_heartbeat(self, callback_id: str) -> None:
        await self.call("send_durable_execution_callback_heartbeat", CallbackId=callback_id)

    async def call(self, method: str, **given: Any) -> dict[str, Any]:
        """The answer to one call, which is repeated where that may help.

        Args:
            method: The name that boto3 has for the operation.
            given: The members of the request, by their names in Lambda's model.
        """
        call = getattr(self.client, method)
        pause = _FIRST_PAUSE
        for left in reversed(range(ATTEMPTS)):
            try:
                if self._in_threads:
                    answer = await asyncio.to_thread(call, **given)
                else:
                    answer = call(**given)
            except (ClientError, BotoCoreError) as error:
                if not left or not self._is_passing(error):
                    where = self.client.meta
                    raise _sentence(
                        error, method, given, where.region_name, where.endpoint_url
                    ) from error
                await self.clock.sleep(pause * self._jitter())
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._reached = True
                return dict(answer)
        raise AssertionError("unreachable")

    def _is_passing(self, error: Exception) -> bool:
        """Whether the error may not come again the next time."""
        if isinstance(error, ClientError):
            self._reached = True
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = error.response.get("Error", {}).get("Code")
            return code in _THROTTLED or status == 429 or status >= 500
        if isinstance(error, EndpointConnectionError):
            # The address is wrong where nobody ever answered.
            return self._reached
        return isinstance(error, HTTPClientError)


def _sentence(
    error: Exception, method: str, given: Mapping[str, Any], region: str, endpoint: str
) -> RunnerError:
    """This package's error for one of botocore's."""
    operation = "".join(part.capitalize() for part in method.split("_"))
    match error:
        case ClientError():
            return _refusal(error, operation, given, region, endpoint)
        case NoCredentialsError():
            return LambdaCallFailed(
                "No AWS credentials were found: log in with the AWS CLI, or set AWS_ACCESS_KEY_ID "
                "and AWS_SECRET_ACCESS_KEY."
            )
        case EndpointConnectionError():
            return LambdaCallFailed(f"Nobody answers at {endpoint}: is this the right endpoint?")
    text = " ".join(str(error).split())
    return LambdaCallFailed(f"{operation} at {endpoint} could not be called: {text}")


def _refusal(
    error: ClientError, operation: str, given: Mapping[str, Any], region: str, endpoint: str
) -> RunnerError:
    said = error.response.get("Error", {})
    code, message = said.get("Code", "Unknown"), said.get("Message") or "(no reason given)"
    name = given.get("FunctionName")
    if code in _DENIED:
        on = f" on function {name!r}" if name else ""
        return LambdaCallFailed(
            f"The credentials in use may not call lambda:{_ACTIONS.get(operation, operation)}{on} "
            f"in {region}: {code}: {message}"
        )
    if code == errors.ResourceNotFound.code and name:
        return errors.ResourceNotFound(
            f"There is no function {name!r} in {region} at {endpoint}: {message}"
        )
    if code in _THROTTLED:
        return errors.TooManyRequests(f"{operation} was throttled {ATTEMPTS} times: {message}")
    kind = _ERRORS.get(code)
    if kind is None:
        return LambdaCallFailed(f"Lambda refused {operation}: {code}: {message}")
    return kind(message)


#: The operations whose permission has another name.
_ACTIONS = {"Invoke": "InvokeFunction"}
