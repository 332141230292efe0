"""Functions that are somewhere else: each invocation is an `Invoke` at another Lambda endpoint.

This module is an adapter like those of the SDKs: to the rest of the runner, such a function is one
more durable handler. The function gets the event that Lambda would send, and makes its checkpoints
at the runner's AWS API.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from ...core.divergence import Divergence
from ...rpc.v1 import worker_pb2
from ..connection import Connection
from .choice import Handler
from .lambda_event import lambda_event

_log = logging.getLogger(__name__)


def invoked_elsewhere(lambda_client: Any) -> Handler:
    """Make a durable handler, for a thread of this process, that invokes the function of the same
    name with boto3's client."""

    def invoke_there(event: Any, context: Any) -> Any:
        name, endpoint = context.function_name, lambda_client.meta.endpoint_url
        _log.info("Invoking %s at %s.", name, endpoint)
        try:
            return _invoke(lambda_client, name, event)
        except _Failure as failure:
            _log.warning("%s at %s failed: %s: %s", name, endpoint, type(failure).__name__, failure)
            raise

    return invoke_there


class _Failure(Exception):
    """A failure at the endpoint. The name of its subclass becomes the error's type."""


def _failure(kind: str, message: str) -> _Failure:
    return type(kind, (_Failure,), {})(message)  # type: ignore[no-any-return]


def _invoke(client: Any, name: str, event: Any) -> Any:
    where = f"{name!r} at {client.meta.endpoint_url}"
    try:
        answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        value = json.loads(answer["Payload"].read())
    except EndpointConnectionError as error:
        raise _failure(
            type(error).__name__,
            f"Nobody answers for {where}: is the Lambda endpoint running?",
        ) from None
    except ClientError as error:
        said = error.response["Error"]
        raise _failure(
            said.get("Code") or "ClientError", f"{where} was refused: {said.get('Message')}"
        ) from None
    except BotoCoreError as error:
        raise _failure(type(error).__name__, f"{where} did not answer: {error}") from None
    except ValueError as error:
        raise _failure("InvalidResponse", f"{where} did not answer with JSON: {error}") from None
    if not answer.get("FunctionError"):
        return value
    said = value if isinstance(value, dict) else {"errorMessage": str(value)}
    raise _failure(said.get("errorType") or answer["FunctionError"], said.get("errorMessage") or "")


class ElsewhereClient:
    """A client without any requests: the function makes its checkpoints over HTTP."""

    def event(self, invocation: worker_pb2.Invocation) -> dict[str, Any]:
        return lambda_event(invocation, invocation.operations, invocation.next_marker)

    def watching(self) -> AbstractContextManager[None]:
        return nullcontext()

    def divergences(self, succeeded: bool) -> Iterable[Divergence]:
        return ()

    def locate(self, request: worker_pb2.RecordEffectRequest) -> None:
        pass

    def at_rest(self) -> bool:
        return True

    def close(self) -> None:
        pass


def client(connection: Connection) -> ElsewhereClient:
    return ElsewhereClient()


def bind(handler: Handler, client: Any) -> Handler:
    return handler


def complaint(function: object) -> str:
    return ""


def rebuilding(handler: Handler) -> Any:
    return NotImplemented
