"""The ASGI application: from a request to the operation that it asks for, and back."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, NoReturn

from ..errors import InvalidParameterValue, RunnerError, ServiceError
from . import constraints, json_text, requests, responses
from .hosts import Hosts
from .model import API, ApiOperation
from .refusals import Refusal, not_readable, unknown_operation
from .responses import Response
from .signatures import Keyring

_logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Parameters = dict[str, Any]
Responder = Callable[[Parameters], Awaitable[dict[str, Any]]]
"""A function that carries out an operation: it takes the parameters and returns the answer, both
by the model's member names, or raises `ServiceError` or `Refusal`. An answer may have a
`RequestId` of its own."""

#: The operations that may take long, and are cancelled when their client goes away.
_WAITING = frozenset({"Invoke"})

_MIB = 1024 * 1024
#: The most header fields of a request, and the most fields of a query.
_MOST_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """How many bytes a client may send, and in how many seconds."""

    #: This is the service's 6 MiB, and room for what JSON and escapes add to them.
    body_bytes: int = 8 * _MIB
    #: A larger body is read and dropped up to this size, so that the client gets to read why.
    dropped_bytes: int = 64 * _MIB
    header_bytes: int = 32 * 1024
    header_seconds: float = 20.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0


class Gone(Exception):
    """The client went away."""


class _CutOff(Refusal):
    """A request of which not all was read, so that its connection cannot carry another."""


class Gateway:
    """The application, as ASGI calls it."""

    def __init__(
        self,
        operations: Mapping[str, Responder],
        keyring: Keyring,
        hosts: Hosts | None,
        limits: Limits,
    ) -> None:
        """Serve operations.

        Args:
            operations: The responder of each operation that is served, by the model's name of it.
            keyring: The access keys that requests must be signed with, if there are any.
            hosts: The hosts that requests may be for, or None if that does not matter.
            limits: How much clients may send, and how slowly.
        """
        self._operations = operations
        self._keyring = keyring
        self._hosts = hosts
        self._limits = limits

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        try:
            response = await self._respond(scope, receive)
        except Gone:
            return
        body = b"" if response.status == 204 else response.body
        headers = [
            *response.headers,
            ("content-length", str(len(body))),
            ("date", formatdate(usegmt=True)),
        ]
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: MutableMapping[str, Any], receive: Receive) -> Response:
        method: str = scope["method"]
        path: str = scope["raw_path"].decode("ascii", "replace")
        query: str = scope["query_string"].decode("ascii", "replace")
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        operation: ApiOperation | None = None
        try:
            body = await self._body(receive)
            if self._hosts is not None:
                self._hosts.check(headers)
            if len(scope["headers"]) > _MOST_FIELDS or query.count("&") >= _MOST_FIELDS:
                raise not_readable(
                    f"A request may have {_MOST_FIELDS} headers and as many fields in its query."
                )
            self._keyring.check(method, f"{path}?{query}" if query else path, headers, body)
            found = API.find(method, path)
            if found is None:
                raise unknown_operation(f"There is no operation {method} {path}.")
            operation, labels = found
            handler = self._operations.get(operation.name)
            if handler is None:
                raise unknown_operation(
                    f"{operation.name} is not among the operations served here."
                )
            given = await _parameters(operation, labels, query, headers, body)
            if operation.name in _WAITING:
                result = await _unless_gone(handler(given), receive)
            else:
                result = await handler(given)
            response = responses.success(operation, result)
            return _with_id(response, result.get("RequestId"))
        except (ServiceError, Refusal) as error:
            code = _modelled(error.code, operation)
            _logger.info("%s %s refused, %s: %s", method, path, code, error.message)
            response = responses.failure(code, error.message, error.http_status)
            if isinstance(error, _CutOff):
                response.headers.append(("connection", "close"))
            return _with_id(response)
        except RunnerError as error:
            _logger.info("%s %s refused, ServiceException: %s", method, path, error)
            return _with_id(responses.failure("ServiceException", str(error), 500))
        except Gone:
            raise
        except Exception as error:
            _logger.exception("%s %s failed", method, path)
            why = f"An internal error occurred: {type(error).__name__}; the log has the details."
            return _with_id(responses.failure("ServiceException", why, 500))

    async def _body(self, receive: Receive) -> bytes:
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            return body if len(body) <= self._limits.body_bytes else self._too_large(len(body))
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await self._whole(message, receive)
        except TimeoutError:
            raise _CutOff(
                "RequestTimeoutException",
                f"The request did not arrive within {self._limits.body_seconds:g} seconds.",
                408,
            ) from None

    async def _whole(self, message: Message, receive: Receive) -> bytes:
        """Read a body that comes in pieces; one that is too large is counted and refused."""
        pieces: list[bytes] = []
        size = 0
        while True:
            if message["type"] != "http.request":
                raise Gone
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size <= self._limits.body_bytes:
                pieces.append(piece)
            elif size <= self._limits.dropped_bytes:
                pieces.clear()
            else:
                self._too_large(size, _CutOff)
            if not message.get("more_body"):
                return b"".join(pieces) if pieces or not size else self._too_large(size)
            message = await receive()

    def _too_large(self, size: int, kind: type[Refusal] = Refusal) -> NoReturn:
        most = self._limits.body_bytes
        text = f"Request must be smaller than {most} bytes, was {size}."
        raise kind("RequestTooLargeException", text, 413)


async def _parameters(
    operation: ApiOperation,
    labels: Mapping[str, str],
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> Parameters:
    """Read and check parameters; others have their turn between the parts of that."""
    if requests.parses_body(operation) and not await json_text.has_few_values(body):
        raise not_readable(
            f"The request has more than {json_text.MOST_VALUES} JSON values or "
            f"{json_text.MOST_ESCAPES} escapes: send fewer at a time."
        )
    large = len(body) > json_text.SMALL
    if large:
        await asyncio.sleep(0)
    given = requests.parameters(operation, labels, query, headers, body)
    if large:
        await asyncio.sleep(0)
    constraints.check(operation.input, given)
    if large:
        await asyncio.sleep(0)
    return given


def _with_id(response: Response, request_id: str | None = None) -> Response:
    response.headers.append(("x-amzn-RequestId", request_id or str(uuid.uuid4())))
    return response


def _modelled(code: str, operation: ApiOperation | None) -> str:
    """Return the code that the operation's model has for an error.

    Not every operation has a code of its own for a body that cannot be read.
    """
    if code == "InvalidRequestContentException" and operation and code not in operation.errors:
        return InvalidParameterValue.code
    return code


async def _unless_gone(work: Awaitable[dict[str, Any]], receive: Receive) -> dict[str, Any]:
    """Return the outcome of `work`, which is cancelled if the client goes away first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
