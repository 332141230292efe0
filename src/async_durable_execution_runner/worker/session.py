"""A worker's conversation with the coordinator: hello, then invocations in, results out.

The session has a loop of its own in the thread that also runs the handlers. It runs between
invocations only, as Lambda freezes an environment between them, and so no thread is crossed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from .. import errors
from ..rpc import PROTOCOL_VERSION
from ..rpc.bounds import trim
from ..rpc.v1 import worker_pb2, worker_pb2_grpc
from .connection import REFUSALS, Connection, end_stream, why_refused
from .misdeeds import commit

Serve = Callable[[worker_pb2.Invocation], worker_pb2.InvocationResult]


class Session:
    def __init__(
        self, connection: Connection, worker_id: str, inline_workspace_id: str = ""
    ) -> None:
        self._connection = connection
        self._hello = worker_pb2.WorkerHello(
            worker_id=worker_id,
            protocol_version=PROTOCOL_VERSION,
            pid=os.getpid(),
            inline_workspace_id=inline_workspace_id,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channel: Any = None
        self._call: Any = None
        self._hung_up: asyncio.Future[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._stopped = False

    def run(self, serve: Serve) -> None:
        """Serve invocations until the coordinator or `stop` ends the session.

        Raises what the coordinator refuses the session with, as `errors` has it.
        """
        self._loop = loop = asyncio.new_event_loop()
        try:
            invocation = loop.run_until_complete(self._start())
            while invocation is not None:
                result = serve(invocation)
                trim(result)
                invocation = loop.run_until_complete(self._next(result))
        finally:
            loop.run_until_complete(self._close())
            loop.close()

    def stop(self) -> None:
        """From any thread: end `run` as soon as no handler runs."""
        self._stopped = True
        if self._loop is not None:
            # A closed loop: it has ended by itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._hang_up)

    def _hang_up(self) -> None:
        # The coordinator then ends the stream, and that ends `run`; or else this does.
        if self._call is not None and self._loop is not None and self._hung_up is None:
            self._hung_up = asyncio.ensure_future(self._call.done_writing())
            self._patience = self._loop.call_later(1, self._call.cancel)

    async def _start(self) -> worker_pb2.Invocation | None:
        self._channel = self._connection.channel()
        stub = worker_pb2_grpc.WorkerServiceStub(self._channel)
        self._call, welcome = await greet(
            lambda: stub.Session(metadata=self._connection.metadata),
            worker_pb2.SessionRequest(hello=self._hello),
        )
        return None if welcome is grpc.aio.EOF else await self._read()

    async def _next(self, result: worker_pb2.InvocationResult) -> worker_pb2.Invocation | None:
        try:
            await self._call.write(worker_pb2.SessionRequest(result=result))
        except (grpc.aio.AioRpcError, asyncio.CancelledError, asyncio.InvalidStateError):
            return None
        return await self._read()

    async def _read(self) -> worker_pb2.Invocation | None:
        if self._stopped:
            return None
        try:
            response = await self._call.read()
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            return None
        if response is grpc.aio.EOF:
            return None
        if response.HasField("misdeed"):
            commit(response.misdeed)
            return await self._read()
        return response.invocation  # type: ignore[no-any-return]

    async def _close(self) -> None:
        # Taken away first: there must be no hanging up on a loop that is about to close.
        call, self._call = self._call, None
        if call is not None:
            if self._hung_up is not None and self._patience is not None:
                self._patience.cancel()
                await asyncio.wait([self._hung_up])
            await end_stream(call)
        # The channel of a session that was refused is closed too: what gRPC has under way for it
        # comes to the loop that made it, and that is about to close.
        if self._channel is not None:
            await self._channel.close()


async def greet(open_stream: Callable[[], Any], hello: Any) -> tuple[Any, Any]:
    """A stream on which `hello` is said, and the answer to it.

    Raises what the coordinator refuses it with, as `errors` has it.
    """
    call = open_stream()
    try:
        # A stream that has ended already says why when it is read.
        with contextlib.suppress(asyncio.InvalidStateError):
            await call.write(hello)
        return call, await call.read()
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.INTERNAL:
            # The stream was refused while the hello was on its way; that hides the reason.
            error = await why_refused(open_stream()) or error
        raise refusal(error) from None


def refusal(error: grpc.aio.AioRpcError) -> errors.RunnerError:
    """What the coordinator means by ending a stream with this status."""
    kind = REFUSALS.get(error.code(), errors.CoordinatorUnavailable)
    return kind(error.details() or error.code().name)
