"""Bidirectional streams between processes of one machine: gRPC's calls, without HTTP/2.

gRPC crosses a thread on either side of every message and costs the processor 0.2 ms of a
round trip; a Unix socket on the event loop needs neither. So a worker beside its coordinator
opens its streams here. `FrameChannel` and `FrameServer` are what `grpc.aio` has under these
names, as far as generated code, our servicers and our clients use it: all of them are
written once, and workers on other machines have gRPC.

A process that dies is seen as its sockets close. One that is stopped is not: nothing is
sent to ask whether it is alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from .v1 import frames_pb2 as pb

log = logging.getLogger(__name__)

#: Frames that may wait to be read before the sender is made to wait; meanwhile its death is not
#: seen either.
_UNREAD = 16

#: Workers that may come at once, two streams each; a Unix socket turns the next one away.
_BACKLOG = 4096

#: A frame's kind and how many bytes follow: gRPC's own prefix of a message, with a kind for the
#: flag of compression.
HEAD = struct.Struct(">BI")
MESSAGE, OPENING, ENDING = range(3)
#: Bytes of a body: what the head can say, and what is taken from somebody whose token is not
#: known yet.
_ANY, _STRANGERS = 2**32 - 1, 2**16

_STATUSES: dict[int, grpc.StatusCode] = {status.value[0]: status for status in grpc.StatusCode}

Metadata = Iterable[tuple[str, str]]


def socket_path(address: str) -> str | None:
    """Where the coordinator at a gRPC address takes frames; None where it does not."""
    return f"{address.removeprefix('unix:')}.w" if address.startswith("unix:") else None


def framed(kind: int, body: bytes) -> bytes:
    return HEAD.pack(kind, len(body)) + body


def failure(ending: pb.Ending) -> grpc.aio.AioRpcError:
    """What a caller gets for a call that ended with a status of its own."""
    trailing = grpc.aio.Metadata(*ending.metadata.items())
    return grpc.aio.AioRpcError(
        _STATUSES[ending.code], grpc.aio.Metadata(), trailing, ending.details
    )


class _Frame(NamedTuple):
    kind: int
    body: bytes


class _Wire(asyncio.Protocol):
    """One connection: frames in, frames out."""

    def __init__(self, opened: Callable[[_Wire], None] | None = None) -> None:
        self._opened = opened
        self._loop = asyncio.get_running_loop()
        self._deaf = False
        self._received = bytearray()
        #: Bytes that must be there before there is something to do.
        self._wanted = HEAD.size
        #: Bytes that the body of the next frame may have.
        self._most = _ANY if opened is None else _STRANGERS
        self._frames: deque[_Frame] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._transport: Any = None
        #: Offered each frame that somebody waits for; false: it is to be read.
        self.take: Callable[[_Frame], bool] | None = None
        #: Done when no more will come or go.
        self.lost: asyncio.Future[None] = self._loop.create_future()

    async def read(self) -> _Frame | None:
        """The next frame; None when the other side is gone."""
        while not self._frames:
            if self.lost.done():
                return None
            self._reader = self._loop.create_future()
            await self._reader
        if len(self._frames) == _UNREAD:
            self._transport.resume_reading()
        return self._frames.popleft()

    async def write(self, kind: int, body: bytes) -> None:
        """Raises nothing: that the other side is gone is seen where its answer is read."""
        self.write_now(kind, body)
        if self._writer is not None:
            await asyncio.wait([self._writer])

    def write_now(self, kind: int, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(framed(kind, body))

    def finish(self) -> None:
        """Say no more, and hear no more: what was written is still sent, and what the other side
        may be writing does no harm. It closes the connection when it has read the end."""
        self._deaf = True
        if not self._transport.is_closing():
            self._transport.write_eof()
            # Or its closing would not be noticed.
            self._transport.resume_reading()

    def abort(self) -> None:
        # For all who have the socket: a child that was forked may, and would keep it open.
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._transport.abort()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self._opened is not None:
            self._opened(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        received = self._received
        received += data
        while len(received) >= self._wanted:
            kind, size = HEAD.unpack_from(received)
            if size > self._most:
                self._transport.abort()
                return
            self._wanted = HEAD.size + size
            if len(received) < self._wanted:
                break
            frame = _Frame(kind, bytes(received[HEAD.size : self._wanted]))
            del received[: self._wanted]
            self._wanted, self._most = HEAD.size, _ANY
            if not self._taken(frame):
                self._frames.append(frame)
        if len(self._frames) >= _UNREAD:
            self._transport.pause_reading()
        if self._frames:
            self._wake()

    def _taken(self, frame: _Frame) -> bool:
        reader = self._reader
        if self.take is None or reader is None or reader.done():
            return False
        if self._frames or self._writer is not None:
            return False
        try:
            return self.take(frame)
        except Exception as error:
            reader.set_exception(error)
            return True

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set_result(None)
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writer = self._loop.create_future()

    def resume_writing(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.set_result(None)


class FrameChannel:
    """The `grpc.aio.Channel` to a coordinator's socket, for streams on the running loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._calls: list[FrameCall] = []

    def stream_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_: Any,
    ) -> Callable[..., FrameCall]:
        def call(*, metadata: Metadata = ()) -> FrameCall:
            opening = pb.Opening(method=method, metadata=dict(metadata))
            call = FrameCall(self._path, opening, request_serializer, response_deserializer)
            self._calls = [call, *(each for each in self._calls if not each.done())]
            return call

        return call

    def unary_unary(self, *_: Any, **__: Any) -> None:
        """No such calls here: a generated stub wants to be told of them all the same."""

    async def close(self) -> None:
        for call in self._calls:
            call.cancel()


class FrameCall:
    """A `grpc.aio.StreamStreamCall`."""

    def __init__(
        self,
        path: str,
        opening: pb.Opening,
        serialize: Callable[[Any], bytes],
        parse: Callable[[bytes], Any],
    ) -> None:
        self._path = path
        self._opening = opening
        self._serialize = serialize
        self._parse = parse
        self._wire: _Wire | None = None
        self._status: pb.Ending | None = None

    def done(self) -> bool:
        return self._status is not None

    async def code(self) -> grpc.StatusCode | None:
        return None if self._status is None else _STATUSES[self._status.code]

    async def details(self) -> str | None:
        return None if self._status is None else self._status.details

    async def write(self, message: Any) -> None:
        wire = await self._connected()
        await wire.write(MESSAGE, self._serialize(message))

    async def read(self) -> Any:
        wire = await self._connected()
        frame = await wire.read()
        if frame is not None and frame.kind == MESSAGE:
            return self._parse(frame.body)
        if frame is not None:
            self._status = pb.Ending.FromString(frame.body)
        self._end(grpc.StatusCode.UNAVAILABLE, "the connection was lost")
        self._raise_status()
        return grpc.aio.EOF

    async def done_writing(self) -> None:
        if self._wire is not None and self._status is None:
            await self._wire.write(ENDING, b"")

    def cancel(self) -> None:
        self._end(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
        if self._wire is not None:
            self._wire.abort()

    def _end(self, code: grpc.StatusCode, details: str) -> None:
        if self._status is None:
            self._status = pb.Ending(code=code.value[0], details=details)

    def _raise_status(self) -> None:
        assert self._status is not None
        if self._status.code:
            raise failure(self._status)

    async def _connected(self) -> _Wire:
        if self._status is not None:
            self._raise_status()
        if self._wire is None:
            try:
                loop = asyncio.get_running_loop()
                _, self._wire = await loop.create_unix_connection(_Wire, self._path)
            except OSError as error:
                self._end(grpc.StatusCode.UNAVAILABLE, f"{self._path}: {error.strerror}")
                self._raise_status()
            assert self._wire is not None
            await self._wire.write(OPENING, self._opening.SerializeToString())
        return self._wire


class _Details(NamedTuple):
    method: str
    invocation_metadata: Metadata


class _Abort(Exception):
    """How a call is to end."""

    def __init__(self, code: grpc.StatusCode, details: str, metadata: Metadata = ()) -> None:
        super().__init__(code, details)
        self.ending = pb.Ending(code=code.value[0], details=details, metadata=dict(metadata))


def _parsed(parse: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        return parse(body)
    except DecodeError as error:
        raise _Abort(grpc.StatusCode.INTERNAL, f"DecodeError: {error}") from None


class FrameContext:
    """A `grpc.aio.ServicerContext`."""

    def __init__(self, wire: _Wire, handler: Any, metadata: Metadata) -> None:
        self._wire = wire
        self._parse = handler.request_deserializer
        self._serialize = handler.response_serializer
        self._metadata = metadata

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def answer_each(self, answer: Callable[[Any], Any]) -> None:
        """Write what `answer` makes of a message as soon as that has come, while the servicer
        waits in `read`, which gets those of which it makes None. A task is woken for none."""

        def take(frame: _Frame) -> bool:
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
            lambda: _Wire(self._begin), path, backlog=_BACKLOG
        )

    def stop(self) -> None:
        """At once: callers lose their connections."""
        self._listener.close()
        for call in self._calls:
            call.cancel()

    def _begin(self, wire: _Wire) -> None:
        call = asyncio.create_task(self._serve(wire))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        # As in gRPC: nobody waits any more for what the handler may still do.
        wire.lost.add_done_callback(lambda _: call.cancel())

    async def _serve(self, wire: _Wire) -> None:
        try:
            while await self._call(wire):
                wire.write_now(ENDING, b"")
            ending = pb.Ending()
        except _Abort as abort:
            ending = abort.ending
        except Exception as error:
            log.exception("A call failed.")
            ending = _Abort(grpc.StatusCode.UNKNOWN, repr(error)).ending
        except asyncio.CancelledError:
            wire.abort()
            raise
        wire.write_now(ENDING, ending.SerializeToString())
        wire.finish()

    async def _call(self, wire: _Wire) -> bool:
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
        request = await context.read()
        if not handler.response_streaming:
            await context.write(await handler.unary_unary(request, context))
            return True
        async with contextlib.aclosing(handler.unary_stream(request, context)) as answers:
            async for answer in answers:
                await context.write(answer)
        return True

    async def _find(self, details: _Details) -> Any:
        return self._handlers.get(details.method)
