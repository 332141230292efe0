"""A gateway in the test's own loop, with a service that says what the test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from async_durable_execution_runner.gateway.app import Limits
from async_durable_execution_runner.gateway.server import Listener, listen

GET = b"GET /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Saying:
    """`ListFunctions` raises or returns `what`; `Invoke` waits for ever."""

    def __init__(self, what: Any = None) -> None:
        self.what = what if what is not None else {"Functions": []}
        self.asked = asyncio.Event()
        self.invoked = asyncio.Event()
        self.given_up = asyncio.Event()

    async def list_functions(self, given: dict[str, Any]) -> dict[str, Any]:
        self.asked.set()
        if isinstance(self.what, Exception):
            raise self.what
        return self.what

    async def invoke(self, given: dict[str, Any]) -> dict[str, Any]:
        self.invoked.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        return {}


@asynccontextmanager
async def serving(
    service: Saying | None = None, allow_hosts: Sequence[str] = (), **limits: Any
) -> AsyncIterator[Listener]:
    service = service or Saying()
    operations = {"ListFunctions": service.list_functions, "Invoke": service.invoke}
    listener = await listen(operations, "127.0.0.1", 0, {}, allow_hosts, Limits(**limits))
    try:
        yield listener
    finally:
        listener.close()


class Connection:
    """One connection of HTTP as it is on the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], Any]:
        self.writer.write(request)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers, body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body) if body else None

    async def ended(self) -> bool:
        """Whether the other side has closed it, with nothing more said."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def connected(endpoint: str) -> AsyncIterator[Connection]:
    host, _, port = endpoint.removeprefix("http://").rpartition(":")
    connection = Connection(*await asyncio.open_connection(host, int(port)))
    try:
        yield connection
    finally:
        connection.close()
