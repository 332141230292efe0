"""A server of frames, its callers, and what strangers may say to it."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from async_durable_execution_runner.rpc.frames import (
    FrameCall,
    FrameChannel,
    FrameServer,
)
from async_durable_execution_runner.rpc.v1 import frames_pb2 as pb

Code = grpc.StatusCode
Handler = Callable[[Any, Any], Awaitable[None]]
MIB = 2**20
OPENING, MESSAGE, ENDING = 1, 0, 2


class Gate(grpc.aio.ServerInterceptor):
    def __init__(self) -> None:
        self.seen: list[tuple[str, tuple[tuple[str, str], ...]]] = []

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        self.seen.append((details.method, details.invocation_metadata))
        return await continuation(details)


class Service:
    """A server on a socket of its own, and callers of it."""

    def __init__(self, folder: str) -> None:
        self.path = str(Path(folder) / "s")
        self.gate = Gate()
        self.server = FrameServer(self.gate)
        self.channel = FrameChannel(self.path)

    def offers(self, handler: Handler, method: str = "Talk", parse: Any = bytes) -> None:
        described = grpc.stream_stream_rpc_method_handler(handler, parse, bytes)
        self.server.add_registered_method_handlers("test.Service", {method: described})

    async def others_are_served(self) -> None:
        """A hundred round trips: time enough for whoever does not wait."""
        self.offers(echo, "Echo")
        call = self.call("Echo")
        for _ in range(100):
            await call.write(b"")
            await call.read()

    def call(self, method: str = "Talk", **options: Any) -> FrameCall:
        path = f"/test.Service/{method}"
        return self.channel.stream_stream(path, bytes, bytes)(**options)

    async def socket(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path)


def frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">BI", kind, len(body)) + body


def opening(method: str = "/test.Service/Talk") -> bytes:
    return frame(OPENING, pb.Opening(method=method).SerializeToString())


async def echo(_: Any, context: Any) -> None:
    while (message := await context.read()) is not grpc.aio.EOF:
        await context.write(message)


def open_files() -> set[int]:
    # The listing has one of its own.
    return {
        int(each) for each in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{each}")
    }


async def refusal(awaitable: Awaitable[Any]) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await awaitable
    return raised.value.code(), raised.value.details()


async def sends_as_fast_as_it_may(service: Service, call: FrameCall) -> asyncio.Task[None]:
    """Who says 200 times 64 KiB, and must wait by now with much of it unsaid."""
    sent = 0

    async def send() -> None:
        nonlocal sent
        for _ in range(200):
            await call.write(b"a" * 64 * 1024)
            sent += 1

    sending = asyncio.create_task(send())
    await service.others_are_served()
    assert 16 <= sent < 100
    return sending
