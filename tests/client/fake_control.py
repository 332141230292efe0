"""A coordinator's `ControlService` for tests of its clients: answers what it is told to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from async_durable_execution_runner.rpc.frames import FrameServer, socket_path
from async_durable_execution_runner.rpc.v1 import control_pb2 as pb
from async_durable_execution_runner.rpc.v1 import control_pb2_grpc

TOKEN = "secret"
_STREAMS = ("RunExecution", "AwaitExecution")
Answer = Callable[[Any, grpc.ServicerContext], Any]


class FakeControl(control_pb2_grpc.ControlServiceServicer):
    """`answers` maps a method's name to what it does; `requests` is what came."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:{folder / 'control.sock'}"
        self.token = TOKEN
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, Any]] = []
        self.metadata: dict[str, str] = {}
        #: Set when a workspace's call has ended.
        self.workspace_closed = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(80))
        control_pb2_grpc.add_ControlServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.address)
        self.tcp_address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        self._frames = _Frames(self)

    def stop(self) -> None:
        self._frames.stop()
        self._server.stop(None).wait()

    def OpenWorkspace(
        self, request: pb.OpenWorkspaceRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.OpenWorkspaceResponse]:
        answer = self._answer("OpenWorkspace", request, context)
        context.add_callback(self.workspace_closed.set)
        yield answer or pb.OpenWorkspaceResponse(workspace_id="workspace-1")
        self.workspace_closed.wait()

    def _answer(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append((method, request))
        self.metadata = dict(context.invocation_metadata())
        answer = self.answers.get(method)
        return answer(request, context) if answer else None


def _unary(method: str, empty: type[Any]) -> Any:
    def call(self: FakeControl, request: Any, context: grpc.ServicerContext) -> Any:
        return self._answer(method, request, context) or empty()

    return call


def _stream(method: str) -> Any:
    def call(self: FakeControl, request: Any, context: grpc.ServicerContext) -> Any:
        yield from self._answer(method, request, context)

    return call


for _method in (
    *("RegisterFunction", "StartExecution", "AwaitCallback", "CompleteCallback"),
    *("StopExecution", "AdvanceTime", "GetStatus"),
):
    setattr(FakeControl, _method, _unary(_method, getattr(pb, f"{_method}Response")))
for _method in _STREAMS:
    setattr(FakeControl, _method, _stream(_method))


class _Frames(threading.Thread):
    """The same servicer where frames are taken."""

    def __init__(self, servicer: FakeControl) -> None:
        super().__init__()
        self._servicer = servicer
        self._listening = threading.Event()
        self.start()
        assert self._listening.wait(10)

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = FrameServer(_Unguarded())
        control_pb2_grpc.add_ControlServiceServicer_to_server(_Adapter(self._servicer), server)
        await server.start(f"{socket_path(self._servicer.address)}")
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self._listening.set()
        await self._stopped.wait()
        server.stop()

    def stop(self) -> None:
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self.join()


class _Unguarded(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        return await continuation(details)


class _Refused(Exception):
    """Code, text and trailing metadata."""


class _ThreadContext:
    """What `answers` see of a call."""

    def __init__(self, context: Any) -> None:
        self.invocation_metadata = context.invocation_metadata
        self._trailing: Any = ()

    def set_trailing_metadata(self, metadata: Any) -> None:
        self._trailing = metadata

    def abort(self, code: grpc.StatusCode, text: str) -> None:
        raise _Refused(code, text, self._trailing)


class _Adapter:
    """Methods that block, for a server on an event loop."""

    def __init__(self, servicer: FakeControl) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._servicer, name)

        async def answers(request: Any, context: Any) -> list[Any]:
            def ask() -> list[Any]:
                answer = method(request, _ThreadContext(context))
                return list(answer) if name in _STREAMS else [answer]

            try:
                return await asyncio.to_thread(ask)
            except _Refused as refused:
                await context.abort(*refused.args)
                raise

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            for answer in await answers(request, context):
                yield answer

        async def unary(request: Any, context: Any) -> Any:
            return (await answers(request, context))[0]

        return stream if name in _STREAMS else unary


def refuse(status: str, text: str, code: str | None = None) -> Answer:
    """An answer that ends the call with `status`, as the coordinator does."""

    def answer(_: Any, context: grpc.ServicerContext) -> None:
        if code is not None:
            context.set_trailing_metadata((("error-code", code),))
        context.abort(grpc.StatusCode[status], text)

    return answer
