"""`breakpoint()` in a handler: a debugger that the user of the test process sits at.

The debugger is pdb, in the handler's process; each line that it reads is asked for with a message
to the coordinator, which passes the question on to the user and lets no time pass meanwhile. Or it
is one that connects over a socket (`over_socket`), about which the user is only told.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import SimpleQueue
from types import FrameType
from typing import Any

import grpc

from ..log import short
from ..rpc.v1 import debug_pb2 as pb
from ..rpc.v1 import debug_pb2_grpc, worker_pb2
from . import over_socket
from .connection import Connection

_own: ContextVar[Debugging | None] = ContextVar("debugging", default=None)
#: That of the invocation which runs in this process, for threads without a context.
_running: Debugging | None = None


@contextmanager
def offered(
    connection: Connection, invocation: worker_pb2.Invocation, *, inline: bool
) -> Iterator[None]:
    """Have `breakpoint()` in the block open a debugger, if somebody can debug the invocation."""
    global _running
    if not invocation.HasField("debugging"):
        yield
        return
    debugging = Debugging(connection, invocation)
    if not inline:
        _running = debugging
    token = _own.set(debugging)
    try:
        yield
    finally:
        _own.reset(token)
        if not inline:
            _running = None
        debugging.close()


def stop(*args: Any, **kwargs: Any) -> Any:
    """Be `breakpoint()` in a worker process."""
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*args, **kwargs)
    debugging = _own.get() or _running
    if debugging is None:
        raise RuntimeError(
            "breakpoint() has no terminal in a worker process: run the handler in a test under "
            "pytest, give the runner isolation='inline', which runs the handler in the process "
            "that has the runner, or name a debugger that listens for a connection in "
            "PYTHONBREAKPOINT."
        )
    debugging.stop(sys._getframe(1))


def hold(frame: FrameType) -> Stop | None:
    """Let no time pass for the invocation that runs in this context, until what this returns is
    closed: a debugger of the test process has stopped it at `frame`. None where there is none."""
    debugging = _own.get()
    return None if debugging is None else debugging.begin(frame, known=True, holds=True)


def stood_still() -> float:
    """Return for how many seconds the invocation that runs here has stood still in debuggers."""
    debugging = _own.get() or _running
    return 0.0 if debugging is None else debugging.stood_still


class Debugging:
    """The debuggers of one invocation.

    Args:
        connection: The coordinator's address, and the worker's credential.
        invocation: The invocation.
    """

    def __init__(self, connection: Connection, invocation: worker_pb2.Invocation) -> None:
        self._connection = connection
        self._request_id = invocation.request_id
        self._function = invocation.function.name
        self._execution = short(invocation.execution_arn)
        port = invocation.debugging.port
        self._port = port if invocation.debugging.HasField("port") else None
        self._lock = threading.Lock()
        self._begun: list[Stop] = []

    def stop(self, frame: FrameType) -> None:
        """Have the debugger stop at the next line of `frame`."""
        if self._port is None:
            from .stepping import Debugger

            Debugger(self.begin, frame).set_trace(frame)
            return
        if not over_socket.is_connected():
            over_socket.check()
            stop = self.begin(frame, holds=True)
            port = over_socket.listen(self._port)
            stop.show(f"Attach a debugger to {over_socket.HOST}:{port}.")
            over_socket.wait(until_gone=stop.close)
        over_socket.stop(frame)

    def begin(self, frame: FrameType, *, known: bool = False, holds: bool = False) -> Stop:
        """Begin a stop of the handler when the user has time for it.

        Args:
            frame: Where the handler has stopped.
            known: Whether the user knows that it has.
            holds: Whether no time passes until the stop is over; else none passes while it reads.
        """
        file = os.path.relpath(frame.f_code.co_filename)
        place = f"{self._function!r} has stopped at {file}:{frame.f_lineno}"
        if self._execution:
            place += f" (execution {self._execution})"
        first = pb.StopRequest(request_id=self._request_id, place=place, known=known, holds=holds)
        begun = Stop(self._connection, first)
        with self._lock:
            self._begun.append(begun)
        return begun

    @property
    def stood_still(self) -> float:
        with self._lock:
            return sum(each.seconds for each in self._begun)

    def close(self) -> None:
        """End what the handler has not ended: it has returned while it was stepped through."""
        trace: Any = getattr(sys.gettrace(), "__self__", None)
        if hasattr(trace, "leave"):
            trace.leave()
        with self._lock:
            left = list(self._begun)
        for each in left:
            each.close()


class Stop:
    """A stop of the handler, for the user: it goes on until this is closed."""

    def __init__(self, connection: Connection, first: pb.StopRequest) -> None:
        """Begin the stop by what is said first. Blocks until it is its turn."""
        self._holds = first.holds
        self._seconds = 0.0
        self._since: float | None = None
        self._closing = threading.Lock()
        self._requests: SimpleQueue[pb.StopRequest | None] = SimpleQueue()
        self._channel = connection.blocking_channel()
        stub: Any = debug_pb2_grpc.DebugServiceStub(self._channel)
        self._call = stub.Stop(iter(self._requests.get, None), metadata=connection.metadata)
        self._ask(first)

    def show(self, output: str) -> None:
        self._requests.put(pb.StopRequest(output=output, holds=self._holds))

    def read(self, output: str) -> str:
        """Show the user `output`, and return the next line; "" where there will be none."""
        return self._ask(pb.StopRequest(output=output, reads=True))

    def close(self, output: str = "", quits: bool = False) -> None:
        """End the stop, after showing the user `output`, and the execution if the user `quits`."""
        with self._closing:
            self._go_on()
            if output or quits:
                self._requests.put(pb.StopRequest(output=output, quits=quits))
            self._requests.put(None)
            # The coordinator has heard of the end when this returns.
            with suppress(grpc.RpcError):
                for _ in self._call:
                    pass
            self._channel.close()

    @property
    def seconds(self) -> float:
        """How long the handler has stood still for this."""
        since = self._since
        return self._seconds + (0.0 if since is None else time.monotonic() - since)

    def _ask(self, request: pb.StopRequest) -> str:
        if self._since is None:
            self._since = time.monotonic()
        self._requests.put(request)
        try:
            response: pb.StopResponse = next(self._call)
        except (StopIteration, grpc.RpcError):
            # The user's process is gone, and soon this one will be.
            return ""
        finally:
            if not self._holds:
                self._go_on()
        return response.line

    def _go_on(self) -> None:
        self._seconds, self._since = self.seconds, None
