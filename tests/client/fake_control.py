"""A coordinator's `ControlService` for tests of its clients: answers what it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from async_durable_execution_runner.rpc.v1 import control_pb2 as pb
from async_durable_execution_runner.rpc.v1 import control_pb2_grpc

TOKEN = "secret"
_STREAMS = ("RunExecutions", "AwaitExecution")
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

    def stop(self) -> None:
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


def refuse(status: str, text: str, code: str | None = None) -> Answer:
    """An answer that ends the call with `status`, as the coordinator does."""

    def answer(_: Any, context: grpc.ServicerContext) -> None:
        if code is not None:
            context.set_trailing_metadata((("error-code", code),))
        context.abort(grpc.StatusCode[status], text)

    return answer
