"""The gate that each call to the coordinator passes: who may make it, and how large it may be."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from ..rpc import TOKEN_VARIABLE
from ..rpc.bounds import DECODERS
from ..rpc.health import CHECK
from ..security.credentials import Credentials, certified, may_call

_logger = logging.getLogger(__name__)

#: So many calls are refused at once, and so many in a second after that.
_BURST = 100
_REFUSALS_PER_SECOND = 10
#: Seconds that a refusal may have to wait for its turn. Others end with no answer but that.
_LONGEST_WAIT = 5.0

Context = Any
"""A `grpc.aio.ServicerContext`; grpcio ships no types for it."""


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """An interceptor that refuses every call to which the caller has no right, and has what workers
    send decoded within its bounds. Probes, which have no token, are answered without being read."""

    def __init__(self, credentials: Credentials, *, certificates: bool = False) -> None:
        """Have callers known by their metadata.

        Args:
            credentials: Knows them.
            certificates: Whether the certificates that callers show tell who they are as well.
        """
        self._credentials = credentials
        self._certificates = certificates
        # The handler is that of a stream for every call, so that a refusal does not wait for what
        # the caller sends.
        self._refusal = grpc.stream_stream_rpc_method_handler(self._refuse)
        self._next_refusal = 0.0

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        method: str = details.method
        if method == CHECK:
            return await continuation(details)
        roles = self._credentials.roles(details.invocation_metadata)
        if may_call(roles, method):
            return self._bounded(method, await continuation(details))
        if self._certificates:
            handler = self._bounded(method, await continuation(details))
            return self._of_certified(method, handler)
        given = dict(details.invocation_metadata).get("authorization")
        why = "a wrong token" if given else "no token"
        _logger.info("%s refused, UNAUTHENTICATED: it came with %s", method, why)
        return self._refusal

    @staticmethod
    def _bounded(method: str, handler: Any) -> Any:
        decoder = DECODERS.get(method)
        if handler is None or decoder is None:
            return handler
        return handler._replace(request_deserializer=decoder)

    def _of_certified(self, method: str, handler: Any) -> Any:
        """Return the handler for callers whose certificate gives them the right to call it."""
        if handler is None:
            return self._refusal
        kind = f"{_kind(handler.request_streaming)}_{_kind(handler.response_streaming)}"
        serve = getattr(handler, kind)

        async def admit(context: Context) -> None:
            names = context.auth_context().get("x509_subject_alternative_name", ())
            if not may_call(certified(names), method):
                _logger.info("%s refused, UNAUTHENTICATED: it is not in its certificate", method)
                await self._refuse(None, context)

        async def serve_one(request: Any, context: Context) -> Any:
            await admit(context)
            return await serve(request, context)

        async def serve_each(request: Any, context: Context) -> Any:
            await admit(context)
            async for message in serve(request, context):
                yield message

        wrapped = serve_each if inspect.isasyncgenfunction(serve) else serve_one
        return handler._replace(**{kind: wrapped})

    async def _refuse(self, _: Any, context: Context) -> None:
        now = time.monotonic()
        self._next_refusal = max(self._next_refusal, now - _BURST / _REFUSALS_PER_SECOND)
        wait = self._next_refusal - now
        if wait < _LONGEST_WAIT:
            self._next_refusal += 1 / _REFUSALS_PER_SECOND
        await asyncio.sleep(min(max(wait, 0.0), _LONGEST_WAIT))
        await context.abort(
            grpc.StatusCode.UNAUTHENTICATED,
            f"The token is missing or wrong: set {TOKEN_VARIABLE} to the coordinator's token.",
        )


def _kind(streaming: bool) -> str:
    return "stream" if streaming else "unary"
