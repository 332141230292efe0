"""A connection: frames in, frames out; what they are, and where they are taken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import grpc
import grpc.aio

from ..v1 import frames_pb2 as pb
from .busy_poll import BusyPoll

#: Frames that may wait to be read before the sender is made to wait; meanwhile its death is not
#: seen either.
_UNREAD = 16

#: A frame's kind and how many bytes follow: gRPC's own prefix of a message, with a kind for the
#: flag of compression.
HEAD = struct.Struct(">BI")
MESSAGE, OPENING, ENDING = range(3)
#: Bytes of a body: what the head can say, and what is taken from somebody whose token is not
#: known yet.
_ANY, _STRANGERS = 2**32 - 1, 2**16

STATUSES: dict[int, grpc.StatusCode] = {status.value[0]: status for status in grpc.StatusCode}

Metadata = Iterable[tuple[str, str]]


def socket_path(address: str) -> str | None:
    """Where the coordinator at a gRPC address takes frames; None where it does not."""
    return f"{address.removeprefix('unix:')}.w" if address.startswith("unix:") else None


def framed(kind: int, body: bytes) -> bytes:
    return HEAD.pack(kind, len(body)) + body


def ended(code: grpc.StatusCode, details: str, metadata: Metadata = ()) -> pb.Ending:
    return pb.Ending(code=code.value[0], details=details, metadata=dict(metadata))


def failure(ending: pb.Ending) -> grpc.aio.AioRpcError:
    """What a caller gets for a call that ended with a status of its own."""
    trailing = grpc.aio.Metadata(*ending.metadata.items())
    return grpc.aio.AioRpcError(
        STATUSES[ending.code], grpc.aio.Metadata(), trailing, ending.details
    )


class Frame(NamedTuple):
    kind: int
    body: bytes


class Wire(asyncio.Protocol):
    """One connection: frames in, frames out."""

    def __init__(self, opened: Callable[[Wire], None] | None = None) -> None:
        self._opened = opened
        self._loop = asyncio.get_running_loop()
        self._deaf = False
        self._received = bytearray()
        #: Bytes that must be there before there is something to do.
        self._wanted = HEAD.size
        #: Bytes that the body of the next frame may have.
        self._most = _ANY if opened is None else _STRANGERS
        self._frames: deque[Frame] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._transport: Any = None
        self._busy_poll = BusyPoll(self._loop)
        #: Offered each frame that somebody waits for; false: it is to be read.
        self.take: Callable[[Frame], bool] | None = None
        #: Done when no more will come or go.
        self.lost: asyncio.Future[None] = self._loop.create_future()

    async def read(self) -> Frame | None:
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
            self._busy_poll.begin()

    def finish(self) -> None:
        """Say no more, and hear no more: what was written is still sent, and what the other side
        may be writing does no harm. It closes the connection when it has read the end."""
        self._deaf = True
        self._busy_poll.end()
        if not self._transport.is_closing():
            self._transport.write_eof()
            # Or its closing would not be noticed.
            self._transport.resume_reading()

    def abort(self) -> None:
        if self.lost.done():
            return
        # uvloop does not let its sockets be shut down, and those of closed connections are None.
        if (connection := self._transport.get_extra_info("socket")) is not None:
            with (
                contextlib.suppress(OSError),
                socket.socket(fileno=os.dup(connection.fileno())) as copy,
            ):
                # For all who have it: a child that was forked may, and would keep it open.
                copy.shutdown(socket.SHUT_RDWR)
        self._transport.abort()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self._opened is not None:
            self._opened(self)

    def data_received(self, data: bytes) -> None:
        self._busy_poll.end()
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
            frame = Frame(kind, bytes(received[HEAD.size : self._wanted]))
            del received[: self._wanted]
            self._wanted, self._most = HEAD.size, _ANY
            if not self._taken(frame):
                self._frames.append(frame)
        if len(self._frames) >= _UNREAD:
            self._transport.pause_reading()
        if self._frames:
            self._wake()

    def _taken(self, frame: Frame) -> bool:
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
        self._busy_poll.end()
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writer = self._loop.create_future()

    def resume_writing(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.set_result(None)
