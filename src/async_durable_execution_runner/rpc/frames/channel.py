"""Calls on the running event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from ..v1 import frames_pb2 as pb
from .wire import ENDING, MESSAGE, OPENING, STATUSES, Metadata, Wire, ended, failure


class FrameChannel:
    """The `grpc.aio.Channel` to a coordinator's socket, for the running loop. Each call has a
    connection of its own."""

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

    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_: Any,
    ) -> Callable[..., AsyncGenerator[Any, None]]:
        begin = self.stream_stream(method, request_serializer, response_deserializer)

        async def answers(
            request: Any,
            *,
            timeout: float,  # noqa: ASYNC109
            metadata: Metadata = (),
        ) -> AsyncGenerator[Any, None]:
            call = begin(metadata=metadata)
            try:
                async with asyncio.timeout(timeout):
                    await call.write(request)
                    while (answer := await call.read()) is not grpc.aio.EOF:
                        yield answer
            except TimeoutError:
                late = ended(grpc.StatusCode.DEADLINE_EXCEEDED, "timed out")
                raise failure(late) from None
            finally:
                call.cancel()

        return answers

    def unary_unary(self, *arguments: Any, **options: Any) -> Callable[..., Awaitable[Any]]:
        begin = self.unary_stream(*arguments, **options)

        async def call(request: Any, **options: Any) -> Any:
            [answer] = [each async for each in begin(request, **options)]
            return answer

        return call

    async def close(self, _: float | None = None) -> None:
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
        self._wire: Wire | None = None
        self._status: pb.Ending | None = None

    def done(self) -> bool:
        return self._status is not None

    async def code(self) -> grpc.StatusCode | None:
        return None if self._status is None else STATUSES[self._status.code]

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
            self._status = ended(code, details)

    def _raise_status(self) -> None:
        assert self._status is not None
        if self._status.code:
            raise failure(self._status)

    async def _connected(self) -> Wire:
        if self._status is not None:
            self._raise_status()
        if self._wire is None:
            try:
                loop = asyncio.get_running_loop()
                _, self._wire = await loop.create_unix_connection(Wire, self._path)
            except OSError as error:
                self._end(grpc.StatusCode.UNAVAILABLE, f"{self._path}: {error.strerror}")
                self._raise_status()
            assert self._wire is not None
            await self._wire.write(OPENING, self._opening.SerializeToString())
        return self._wire
