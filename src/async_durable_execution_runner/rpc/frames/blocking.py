"""Calls that block the thread.

A connection serves one call after another. Whoever calls takes one that is idle, or makes one;
those of calls that failed, were cancelled or were not read to their end are closed, which
the coordinator takes for a cancellation.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from ..v1 import frames_pb2 as pb
from .wire import HEAD, MESSAGE, OPENING, Metadata, ended, failure, framed

_CHUNK = 2**16

#: Connections that are kept for calls to come.
_MOST_IDLE = 16

#: Seconds of a call at most: the system counts them in milliseconds and 31 bits.
_LONGEST = 24 * 24 * 3600.0


class BlockingFrameChannel:
    """The `grpc.Channel` to a coordinator's socket, for calls of one request; from any thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._pid = os.getpid()
        self._idle: list[socket.socket] = []
        self._closed = False

    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_: Any,
    ) -> Callable[..., BlockingFrameCall]:
        def call(request: Any, *, timeout: float, metadata: Metadata = ()) -> BlockingFrameCall:
            opening = pb.Opening(method=method, metadata=dict(metadata)).SerializeToString()
            said = framed(OPENING, opening)
            said += framed(MESSAGE, request_serializer(request))
            return BlockingFrameCall(self, said, response_deserializer, timeout)

        return call

    def unary_unary(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        begin = self.unary_stream(*arguments, **options)

        def call(request: Any, **options: Any) -> Any:
            (answer,) = begin(request, **options)
            return answer

        return call

    def close(self) -> None:
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    def take(self) -> socket.socket | None:
        """An idle connection, if there is one. ValueError as of gRPC: the channel is closed."""
        if self._closed:
            raise ValueError("Cannot invoke RPC on closed channel!")
        if self._pid != os.getpid():
            # A fork: they are its parent's.
            self._close_idle()
            self._pid = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def give_back(self, connection: socket.socket) -> None:
        if len(self._idle) >= _MOST_IDLE:
            connection.close()
            return
        self._idle.append(connection)
        if self._closed:
            self._close_idle()


class BlockingFrameCall:
    """A call with a stream of answers: to be iterated over, once. What fails is raised there."""

    def __init__(
        self,
        channel: BlockingFrameChannel,
        said: bytes,
        parse: Callable[[bytes], Any],
        timeout: float,
    ) -> None:
        self._channel = channel
        self._parse = parse
        self._deadline = time.monotonic() + min(timeout, _LONGEST)
        self._received = bytearray()
        self._ending: pb.Ending | None = None
        self._connection = channel.take()
        try:
            if self._connection is None:
                self._connection = socket.socket(socket.AF_UNIX)
                self._connect(self._connection)
            self._limit(self._connection).sendall(said)
        except OSError as error:
            self._ending = self._failed(error)
        except BaseException:
            self.cancel()
            raise

    def __iter__(self) -> Iterator[Any]:
        try:
            while self._ending is None:
                kind, body = self._frame()
                if kind == MESSAGE:
                    yield self._parse(body)
                else:
                    self._ending = pb.Ending.FromString(body)
        except OSError as error:
            self._ending = self._failed(error)
        finally:
            if self._ending is None or self._ending.code:
                self.cancel()
        if self._ending.code:
            raise failure(self._ending)
        # Whoever cancels this call now must not close what may be another's.
        connection, self._connection = self._connection, None
        assert connection is not None
        self._channel.give_back(connection)

    def cancel(self) -> None:
        if self._connection is not None:
            # For all who have it: a child that was forked may, and would keep it open.
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()

    def _connect(self, connection: socket.socket) -> None:
        while True:
            try:
                self._limit(connection).connect(self._channel.path)
            except BlockingIOError:
                # As many as the system allows wait to be let in, and nothing tells when.
                time.sleep(0.01)
            else:
                return

    def _frame(self) -> tuple[int, bytes]:
        self._receive(HEAD.size)
        kind, size = HEAD.unpack_from(self._received)
        end = HEAD.size + size
        self._receive(end)
        body = bytes(self._received[HEAD.size : end])
        del self._received[:end]
        return kind, body

    def _receive(self, count: int) -> None:
        """See to it that so many bytes are there."""
        assert self._connection is not None
        while (missing := count - len(self._received)) > 0:
            data = self._limit(self._connection).recv(max(missing, _CHUNK))
            if not data:
                raise ConnectionError("the connection was lost")
            self._received += data

    def _limit(self, connection: socket.socket) -> socket.socket:
        """For something that may take no more time than is left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left)
        return connection

    def _failed(self, error: OSError) -> pb.Ending:
        late = isinstance(error, TimeoutError)
        code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.UNAVAILABLE
        details = f"{self._channel.path}: {error.strerror}" if error.strerror else str(error)
        return ended(code, details)
