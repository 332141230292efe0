"""A coordinator at the edge: speaks the worker's protocol, keeps just enough state to replay.

It stands in for the real one in tests of the worker side, and shows what the protocol asks.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

from async_durable_execution_runner.rpc import OPTIONS, PROTOCOL_VERSION
from async_durable_execution_runner.rpc.v1 import model_pb2 as model
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.rpc.v1 import worker_pb2_grpc
from async_durable_execution_runner.worker import loading
from async_durable_execution_runner.worker.connection import Connection

_T = TypeVar("_T")

TOKEN = "secret"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
EXECUTION = f"{ARN}:$LATEST/durable-execution/one/e-1"
START_MS = 1_700_000_000_000

_AFTER = {
    model.OPERATION_ACTION_START: model.OPERATION_STATUS_STARTED,
    model.OPERATION_ACTION_SUCCEED: model.OPERATION_STATUS_SUCCEEDED,
    model.OPERATION_ACTION_FAIL: model.OPERATION_STATUS_FAILED,
    model.OPERATION_ACTION_RETRY: model.OPERATION_STATUS_PENDING,
}


class Execution:
    """What one execution's checkpoints have made of it."""

    def __init__(self, payload: str = "{}") -> None:
        self.operations = {
            "e-1": model.Operation(
                id="e-1",
                type=model.OPERATION_TYPE_EXECUTION,
                status=model.OPERATION_STATUS_STARTED,
                start_ms=START_MS,
                input=payload,
            )
        }
        self.updates: list[model.OperationUpdate] = []

    def apply(self, update: model.OperationUpdate) -> model.Operation:
        self.updates.append(update)
        operation = self.operations.setdefault(
            update.id, model.Operation(id=update.id, type=update.type, start_ms=START_MS)
        )
        for name in ("parent_id", "name", "sub_type"):
            if update.HasField(name):
                setattr(operation, name, getattr(update, name))
        operation.status = _AFTER[update.action]
        if update.HasField("payload"):
            operation.result = update.payload
        if update.HasField("error"):
            operation.error.CopyFrom(update.error)
        if update.HasField("wait_seconds"):
            operation.scheduled_end_ms = START_MS + update.wait_seconds * 1000
        if update.type == model.OPERATION_TYPE_CALLBACK:
            operation.callback_id = f"callback-{update.id}"
        return operation

    def pass_time(self) -> None:
        """All waits are over."""
        for operation in self.operations.values():
            if operation.type == model.OPERATION_TYPE_WAIT:
                operation.status = model.OPERATION_STATUS_SUCCEEDED
                operation.end_ms = operation.scheduled_end_ms


class Worker:
    """A worker's session, seen from here."""

    def __init__(self, hello: pb.WorkerHello) -> None:
        self.hello = hello
        self.orders: asyncio.Queue[pb.Invocation | None] = asyncio.Queue()
        self.results: asyncio.Queue[pb.InvocationResult] = asyncio.Queue()
        self.ended = asyncio.Event()


ADDRESSES = {"unix": "unix:{directory}/s", "tcp": "127.0.0.1:0"}


class Coordinator(worker_pb2_grpc.WorkerServiceServicer, grpc.aio.ServerInterceptor):
    def __init__(self, address: str) -> None:
        self.connection = Connection(address, TOKEN)
        self.execution = Execution()
        self.refuse: Callable[[pb.CheckpointRequest], model.ServiceError | None] = lambda _: None
        self.hang_up = False
        self.protocol_version = PROTOCOL_VERSION
        self.requests: list[pb.CheckpointRequest] = []
        self.hosts: asyncio.Queue[pb.HostHello] = asyncio.Queue()
        self.workers: asyncio.Queue[Worker] = asyncio.Queue()
        self._exits: dict[str, asyncio.Future[pb.WorkerExited]] = {}
        self.metadata: list[dict[str, Any]] = []
        self._orders: asyncio.Queue[pb.SuperviseResponse] = asyncio.Queue()
        self._ids = itertools.count(1)
        self._known: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Coordinator:
        self._server = grpc.aio.server(interceptors=[self], options=OPTIONS)
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(self.connection.address)
        if self.connection.address.endswith(":0"):
            self.connection = Connection(f"127.0.0.1:{port}", TOKEN)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.vanish()

    async def vanish(self) -> None:
        await self._server.stop(None)

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        stream = details.method.rpartition("/")[2]
        metadata = {**dict(details.invocation_metadata), "stream": stream}
        self.metadata.append(metadata)
        secret = TOKEN if stream == "Supervise" else metadata["worker-id"]
        if metadata.get("authorization") not in (f"Bearer {TOKEN}", f"Bearer {secret}"):
            return grpc.stream_stream_rpc_method_handler(_turn_away)
        return await continuation(details)

    # What the worker side calls.

    async def Supervise(self, _: Any, context: Any) -> None:
        hello = (await context.read()).hello
        if hello.protocol_version != self.protocol_version:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "It speaks another version.")
        await context.write(pb.SuperviseResponse(welcome=pb.HostWelcome(coordinator_id="c-1")))
        self.hosts.put_nowait(hello)
        reading = asyncio.create_task(self._take_exits(context))
        try:
            while True:
                await context.write(await self._orders.get())
        finally:
            reading.cancel()

    async def _take_exits(self, context: Any) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            self._exit(request.exited.worker_id).set_result(request.exited)

    def _exit(self, worker_id: str) -> asyncio.Future[pb.WorkerExited]:
        return self._exits.setdefault(worker_id, asyncio.get_running_loop().create_future())

    async def Session(self, _: Any, context: Any) -> None:
        worker = Worker((await context.read()).hello)
        await context.write(pb.SessionResponse(welcome=pb.WorkerWelcome()))
        self.workers.put_nowait(worker)
        heard = asyncio.create_task(context.read())
        ordered = asyncio.create_task(worker.orders.get())
        try:
            while True:
                await asyncio.wait({heard, ordered}, return_when=asyncio.FIRST_COMPLETED)
                if heard.done():
                    if (said := heard.result()) is grpc.aio.EOF:
                        return
                    worker.results.put_nowait(said.result)
                    heard = asyncio.create_task(context.read())
                elif (invocation := ordered.result()) is None:
                    return
                else:
                    await context.write(pb.SessionResponse(invocation=invocation))
                    ordered = asyncio.create_task(worker.orders.get())
        finally:
            heard.cancel()
            ordered.cancel()
            worker.ended.set()

    async def Checkpoint(self, _: Any, context: Any) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            self.requests.append(request)
            if self.hang_up:
                return
            await context.write(self._reply(request))

    def _reply(self, request: pb.CheckpointRequest) -> pb.CheckpointResponse:
        error = self.refuse(request)
        if error is not None:
            return pb.CheckpointResponse(error=error)
        if request.HasField("marker"):
            return pb.CheckpointResponse(operations=self.execution.operations.values())
        changed = [self.execution.apply(update) for update in request.updates]
        token = f"token-{len(self.requests)}"
        return pb.CheckpointResponse(checkpoint_token=token, operations=changed)

    # What tests call.

    def order(self, **order: Any) -> None:
        self._orders.put_nowait(pb.SuperviseResponse(**order))

    async def host(self) -> pb.HostHello:
        return await _soon(self.hosts.get())

    async def exited(self, worker: Worker | str) -> pb.WorkerExited:
        worker_id = worker if isinstance(worker, str) else worker.hello.worker_id
        return await _soon(self._exit(worker_id))

    async def start_worker(self, **how: Any) -> Worker:
        """A new process, and a new execution for it to serve."""
        self.execution = Execution()
        worker_id = f"w-{next(self._ids)}"
        self.order(start=pb.StartWorker(worker_id=worker_id, credential=worker_id, **how))
        worker = await _soon(self.workers.get())
        assert worker.hello.worker_id == worker_id
        return worker

    def send(self, worker: Worker, handler: Any, **config: Any) -> None:
        """Lease one invocation of `handler` to `worker`."""
        worker.orders.put_nowait(self.invocation(handler, **config))

    async def invoke(self, worker: Worker, handler: Any, **config: Any) -> pb.InvocationResult:
        self.send(worker, handler, **config)
        return await _soon(worker.results.get())

    def invocation(
        self, handler: Any, *, payload: str = "", code: pb.FunctionCode | None = None, **config: Any
    ) -> pb.Invocation:
        durable = config.pop("durable", loading.is_durable(handler))
        function = pb.FunctionConfig(
            function_id=config.pop("function_id", f"f-{next(self._ids)}"),
            name="orders",
            version=config.pop("version", "$LATEST"),
            arn=ARN,
            durable=durable,
            timeout_seconds=config.pop("timeout_seconds", 30),
            memory_mb=256,
            environment=config.pop("environment", {}),
        )
        invocation = pb.Invocation(
            request_id=f"r-{next(self._ids)}",
            function=function,
            code=code if code is not None else loading.describe(handler),
        )
        assert not config
        if durable:
            invocation.execution_arn = EXECUTION
            invocation.checkpoint_token = "token-0"
            invocation.operations.extend(self.execution.operations.values())
        else:
            invocation.payload = payload
        return invocation


async def _turn_away(_: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The token is wrong.")


async def _soon(awaitable: Awaitable[_T]) -> _T:
    async with asyncio.timeout(10):
        return await awaitable


def output(result: pb.InvocationResult) -> Any:
    assert result.WhichOneof("outcome") == "output", result
    return json.loads(result.output)
