"""A real coordinator that many tests share, and what each of them may not leave behind."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from coordinator.wire import LIMIT, TOKEN, CoordinatorProcess, Wire

from async_durable_execution_runner.client import transport
from async_durable_execution_runner.client.control import ControlClient, RunnerStatus, Start
from async_durable_execution_runner.client.drive import drive
from async_durable_execution_runner.client.settings import FunctionSettings, Isolation
from async_durable_execution_runner.client.transport import (
    BlockingTransport,
    LoopTransport,
    Transport,
    WorkspaceCall,
)
from async_durable_execution_runner.core.model import DEFAULT_PLACE
from async_durable_execution_runner.errors import CoordinatorUnavailable
from async_durable_execution_runner.rpc import OPTIONS

__all__ = [
    "LIMIT",
    "TOKEN",
    "Served",
    "call_each",
    "client",
    "connect",
    "open_workspace",
    "sockets",
]


def unavailable(what: str, detail: str) -> CoordinatorUnavailable:
    return CoordinatorUnavailable(f"{what}: {detail}")


def open_workspace(channel: grpc.Channel, token: str = TOKEN) -> WorkspaceCall:
    return WorkspaceCall(
        channel,
        token,
        workers=1,
        invocation_retries=0,
        retry_backoff=0,
        epoch_ms=None,
        limits={},
        place=DEFAULT_PLACE,
        unavailable=unavailable,
    )


def client(transport: Transport, workspace_id: str = "") -> ControlClient:
    return ControlClient(transport, workspace_id, unavailable)


async def call_each(
    transport: BlockingTransport | LoopTransport, requests: Iterable[Any]
) -> list[list[Any] | grpc.RpcError]:
    """Answers of AwaitExecution to `requests`, all of which are under way together."""
    calls = []
    for request in requests:
        calls.append(transport._begin("AwaitExecution", request, LIMIT))
    answers: list[list[Any] | grpc.RpcError] = []
    for call in calls:
        try:
            if isinstance(transport, LoopTransport):
                answers.append([message async for message in call])
            else:
                answers.append(list(call))
        except grpc.RpcError as error:
            answers.append(error)
    return answers


async def register(control: ControlClient) -> None:
    """The function "order", which nobody serves before somebody greets as an inline worker."""
    settings = FunctionSettings(Isolation.INLINE)
    await control.register("order", "key", durable=True, settings=settings)


def connect(address: str) -> socket.socket:
    """A connection on which nothing was said yet."""
    scheme, _, path = address.partition(":")
    if scheme == "unix":
        stranger = socket.socket(socket.AF_UNIX)
        stranger.connect(path)
    else:
        host, _, port = address.rpartition(":")
        stranger = socket.create_connection((host, int(port)))
    stranger.settimeout(LIMIT)
    return stranger


def sockets() -> int:
    """How many this process has open."""
    found = 0
    for each in os.listdir("/proc/self/fd"):
        # It may be closed meanwhile.
        with suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{each}").startswith("socket:")
    return found


def connections(address: str) -> int:
    """How many the server at this address has, and the socket on which it listens. Its descriptors
    are hidden from other processes."""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        return Path("/proc/net/unix").read_text().count(f" {path}\n")
    port, found = int(address.rpartition(":")[2]), 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            # What is in TIME_WAIT belongs to no process any more.
            found += local.endswith(f":{port:04X}") and state != "06"
    return found


class Served:
    """A coordinator's process, and a connection of its own to look at it."""

    def __init__(self, process: CoordinatorProcess) -> None:
        self.address, self.process = process.address, process.process
        options = [*OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(self.address, options=options)
        self._control = client(BlockingTransport(self._channel, TOKEN))

    @property
    def pid(self) -> int:
        return self.process.pid

    def status(self) -> RunnerStatus:
        return drive(self._control.status())

    def serves_others(self) -> None:
        """A caller on another connection has its whole way: a workspace, an execution, its end."""
        workspace = open_workspace(self._channel)
        control = client(BlockingTransport(self._channel, TOKEN), workspace.id)
        drive(register(control))
        arn = drive(control.start(Start("order", "{}")))
        drive(control.stop(arn, None))
        assert drive(control.wait(arn, "ended", LIMIT)).status.value == "STOPPED"
        workspace.close()

    def until(self, condition: Callable[[], bool]) -> None:
        """Ask for its status, which lets both processes get on, until `condition` holds."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, "It never came to be."
            self.status()

    def is_idle(self) -> bool:
        status = self.status()
        return not (status.executions or status.workers or status.hosts)

    def open(self) -> list[int]:
        """How many connections are open at its end, and sockets and threads at ours, without the
        threads that are kept for later calls."""
        threads = threading.active_count() - len(transport._helpers)
        return [connections(self.address), sockets(), threads]

    async def nothing_is_left(self, wire: Wire, before: list[int]) -> None:
        # A peer that leaves in the midst of its first words may be missed only by a keepalive.
        deadline = time.monotonic() + 2 * LIMIT
        while any(now > then for now, then in zip(self.open(), before, strict=True)):
            assert time.monotonic() < deadline, f"It was {before} and is {self.open()}."
            # Each answer lets this loop get on, with what was cancelled.
            for _ in range(10):
                await wire.status()
            # The traceback of a failed call holds the call, and that its connection.
            gc.collect()

    def close(self) -> None:
        self._channel.close()
