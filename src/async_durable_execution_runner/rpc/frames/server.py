"""Servicers on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from ..v1 import frames_pb2 as pb
from .wire import ENDING, MESSAGE, OPENING, Frame, Metadata, Wire, ended

log = logging.getLogger(__name__)

#: Connections that may come at once; a Unix socket turns the next one away.
_BACKLOG = 4096


class _Details(NamedTuple):
    method: str
    invocation_metadata: Metadata


class _Abort(Exception):
    """How a call is to end."""

    def __init__(self, code: grpc.StatusCode, details: str, metadata: Metadata = ()) -> None:
        super().__init__(code, details)
        self.ending = ended(code, details, metadata)


def _parsed(parse: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        return parse(body)
    except DecodeError as error:
        raise _Abort(grpc.StatusCode.INTERNAL, f"DecodeError: {error}") from None


class FrameContext:
    """A `grpc.aio.ServicerContext`."""

    def __init__(self, wire: Wire, handler: Any, metadata: Metadata) -> None:
        self._wire = wire
        self._parse = handler.request_deserializer
        self._serialize = handler.response_serializer
        self._metadata = metadata

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def answer_each(self, answer: Callable[[Any], Any]) -> None:
        """Write what `answer` makes of a message as soon as that has come, while the servicer
        waits in `read`, which gets those of which it makes None. A task is woken for none."""

        def take(frame: Frame) -> bool:
            reply = None
            if frame.kind == MESSAGE:
                reply = answer(_parsed(self._parse, frame.body))
            if reply is not None:
                self.write_now(reply)
            return reply is not None

        self._wire.take = take

    async def read(self) -> Any:
        frame = await self._wire.read()
        if frame is None or frame.kind == ENDING:
            return grpc.aio.EOF
        return _parsed(self._parse, frame.body)

    async def write(self, message: Any) -> None:
        await self._wire.write(MESSAGE, self._serialize(message))

    def write_now(self, message: Any) -> None:
        """However much of what was written before is still to be sent."""
        self._wire.write_now(MESSAGE, self._serialize(message))

    async def abort(
        self, code: grpc.StatusCode, details: str, trailing_metadata: Metadata = ()
    ) -> NoReturn:
        raise _Abort(code, details, trailing_metadata)


class FrameServer:
    """The `grpc.aio.Server` of servicers on a Unix socket. A connection has one call after
    another, and a stream of requests is the last."""

    def __init__(self, interceptor: grpc.aio.ServerInterceptor) -> None:
        self._interceptor = interceptor
        self._handlers: dict[str, Any] = {}
        self._calls: set[asyncio.Task[None]] = set()

    def add_generic_rpc_handlers(self, _: Any) -> None:
        """Of the two forms in which generated code registers its methods, the other is used."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self._handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    async def start(self, path: str) -> None:
        """Serve on a Unix socket. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(
            lambda: Wire(self._begin), path, backlog=_BACKLOG
        )

    def stop(self) -> None:
        """At once: callers lose their connections."""
        self._listener.close()
        for call in self._calls:
            call.cancel()

    def _begin(self, wire: Wire) -> None:
        call = asyncio.create_task(self._serve(wire))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        # As in gRPC: nobody waits any more for what the handler may still do.
        wire.lost.add_done_callback(lambda _: call.cancel())

    async def _serve(self, wire: Wire) -> None:
        try:
            while await self._call(wire):
                wire.write_now(ENDING, b"")
            ending = pb.Ending()
        except _Abort as abort:
            ending = abort.ending
        except Exception as error:
            log.exception("A call failed.")
            ending = ended(grpc.StatusCode.UNKNOWN, repr(error))
        except asyncio.CancelledError:
            wire.abort()
            raise
        wire.write_now(ENDING, ending.SerializeToString())
        wire.finish()

    async def _call(self, wire: Wire) -> bool:
        """Whether another call may follow it on its connection."""
        frame = await wire.read()
        if frame is None or frame.kind != OPENING:
            raise _Abort(grpc.StatusCode.INVALID_ARGUMENT, "Expected an opening first.")
        opening = _parsed(pb.Opening.FromString, frame.body)
        metadata = tuple(opening.metadata.items())
        details = _Details(opening.method, metadata)
        handler = await self._interceptor.intercept_service(self._find, details)
        if handler is None or (handler.request_streaming and not handler.response_streaming):
            raise _Abort(grpc.StatusCode.UNIMPLEMENTED, f"There is no method {opening.method}.")
        context = FrameContext(wire, handler, metadata)
        if handler.request_streaming:
            # What its caller may be saying would be taken for the next call.
            await handler.stream_stream(None, context)
            return False
        if (request := await context.read()) is grpc.aio.EOF:
            raise _Abort(grpc.StatusCode.INVALID_ARGUMENT, "Expected a request.")
        if not handler.response_streaming:
            await context.write(await handler.unary_unary(request, context))
            return True
        async with contextlib.aclosing(handler.unary_stream(request, context)) as answers:
            async for answer in answers:
                await context.write(answer)
        return True

    async def _find(self, details: _Details) -> Any:
        return self._handlers.get(details.method)
