"""A real coordinator process, and a client that says to it whatever it likes.

`works` is the proof that a coordinator is unharmed: a runner, a worker and an execution
of one step and one wait, all over the wire.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import grpc

from async_durable_execution_runner.rpc import OPTIONS, PROTOCOL_VERSION
from async_durable_execution_runner.rpc.v1 import control_pb2 as control
from async_durable_execution_runner.rpc.v1 import model_pb2 as model
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.rpc.v1.control_pb2_grpc import ControlServiceStub
from async_durable_execution_runner.rpc.v1.worker_pb2_grpc import WorkerServiceStub
from async_durable_execution_runner.security import secrecy

TOKEN = "a-token"
#: Seconds after which something that should happen at once counts as hanging.
LIMIT = 10.0
_numbers = itertools.count(1)


def start_coordinator(
    listen: str,
    *,
    token: str | None = TOKEN,
    log: str = "",
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if "DURABLE" not in key}
    if log:
        environment["DURABLE_RUNNER_LOG"] = log
    process = subprocess.Popen(
        [sys.executable, "-m", "async_durable_execution_runner.coordinator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment,
    )
    assert process.stdin is not None
    if token is not None:
        process.stdin.write(secrecy.line(token, listen))
        process.stdin.flush()
    return process


class CoordinatorProcess:
    """Started, ready, and ended by the end of its standard input."""

    def __init__(
        self, directory: Path, listen: str = "unix:{directory}/coordinator.sock", log: str = ""
    ) -> None:
        # No pipe: what gRPC says of garbage would fill it, and then the coordinator would wait.
        self._stderr = (directory / "stderr").open("w+b")
        self.process = start_coordinator(
            listen.format(directory=directory), log=log, stderr=self._stderr
        )
        assert self.process.stdout is not None
        word, _, self.address = self.process.stdout.readline().decode().strip().partition(" ")
        assert word == "ready"

    def end(self) -> tuple[int, str]:
        """Its exit code and what it wrote to standard error."""
        self.process.communicate(timeout=LIMIT)
        with self._stderr as stderr:
            stderr.seek(0)
            return self.process.returncode, stderr.read().decode()


class Refused(Exception):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code, self.details = code, details


class Stream:
    """One bidirectional call. `Refused` where the coordinator ended it with an error."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def send(self, message: Any) -> None:
        async with asyncio.timeout(LIMIT):
            try:
                await self._call.write(message)
            except grpc.aio.AioRpcError as error:
                raise Refused(error.code(), error.details() or "") from None
            except asyncio.InvalidStateError:
                # It ended before all was sent.
                raise Refused(await self._call.code(), await self._call.details()) from None

    async def next(self) -> Any:
        async with asyncio.timeout(LIMIT):
            try:
                message = await self._call.read()
            except grpc.aio.AioRpcError as error:
                raise Refused(error.code(), error.details() or "") from None
            if message is not grpc.aio.EOF:
                return message
            raise Refused(await self._call.code(), await self._call.details() or "")

    async def ask(self, message: Any) -> Any:
        await self.send(message)
        return await self.next()

    async def refusal(self, *messages: Any) -> Refused:
        """What the coordinator says to `messages`, which must be no."""
        try:
            for message in messages:
                await self.send(message)
            while True:
                await self.next()
        except Refused as refused:
            return refused

    async def finish(self) -> None:
        """Say no more, and wait until the coordinator has heard all."""
        await self._call.done_writing()
        with suppress(Refused):
            while True:
                await self.next()

    def vanish(self) -> None:
        self._call.cancel()


class Wire:
    """A connection of its own, so that what it does to it disturbs nobody."""

    def __init__(self, address: str, token: str | None = TOKEN, worker_id: str = "") -> None:
        options = [*OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.aio.insecure_channel(address, options=options)
        self.metadata: tuple[tuple[str, str], ...] = ()
        if token is not None:
            self.metadata = (("authorization", f"Bearer {token}"), ("worker-id", worker_id))
        self.workers: Any = WorkerServiceStub(self.channel)
        self.control: Any = ControlServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()

    def stream(self, method: str, *, raw: bool = False) -> Stream:
        if raw:
            path = f"/async_durable_execution_runner.rpc.v1.WorkerService/{method}"
            open_stream = self.channel.stream_stream(
                path, request_serializer=bytes, response_deserializer=bytes
            )
            return Stream(open_stream(metadata=self.metadata))
        return Stream(getattr(self.workers, method)(metadata=self.metadata))

    async def ask(self, method: str, request: Any) -> Any:
        call = getattr(self.control, method)(request, metadata=self.metadata, timeout=LIMIT)
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise Refused(error.code(), error.details() or "") from None

    async def status(self) -> Any:
        return await self.ask("GetStatus", control.GetStatusRequest())

    @asynccontextmanager
    async def runner(self, **settings: Any) -> AsyncIterator[Runner]:
        request = control.OpenWorkspaceRequest(
            **(
                {"protocol_version": PROTOCOL_VERSION, "workers": 2, "retry_backoff_ms": 1}
                | settings
            )
        )
        call = self.control.OpenWorkspace(request, metadata=self.metadata)
        opened = await asyncio.wait_for(call.read(), LIMIT)
        try:
            yield Runner(self, opened.workspace_id)
        finally:
            call.cancel()

    async def host(self, name: str = "", **settings: Any) -> Stream:
        """A worker host that has been welcomed."""
        stream = self.stream("Supervise")
        answer = await stream.ask(pb.SuperviseRequest(hello=host_hello(name, **settings)))
        assert answer.WhichOneof("message") == "welcome"
        return stream

    async def session(self, worker_id: str, workspace_id: str = "") -> Stream:
        """A worker that has been welcomed."""
        stream = self.stream("Session")
        answer = await stream.ask(pb.SessionRequest(hello=worker_hello(worker_id, workspace_id)))
        assert answer.WhichOneof("message") == "welcome"
        return stream


class Runner:
    """A workspace with functions in it."""

    def __init__(self, wire: Wire, workspace_id: str) -> None:
        self.wire = wire
        self.id = workspace_id

    async def register(self, isolation: Any = control.ISOLATION_INLINE, **config: Any) -> None:
        settings = {"name": "order", "durable": True, "timeout_seconds": 30, "memory_mb": 128}
        await self.wire.ask(
            "RegisterFunction",
            control.RegisterFunctionRequest(
                workspace_id=self.id,
                config=pb.FunctionConfig(**(settings | config)),
                code=pb.FunctionCode(inline_key="key"),
                isolation=isolation,
                execution_timeout_seconds=3600,
            ),
        )

    def _start(self, payload: str, name: str) -> Any:
        return control.StartExecutionRequest(
            workspace_id=self.id,
            function_name="order",
            payload=payload,
            execution_name=name,
            skip_time=True,
        )

    async def start(self, payload: str = "{}", name: str = "") -> str:
        answer = await self.wire.ask("StartExecution", self._start(payload, name))
        return str(answer.execution_arn)

    async def result(self, arn: str, timeout_ms: int = int(LIMIT * 1000)) -> Any:
        """The first page of its record at its end."""
        request = control.AwaitExecutionRequest(
            execution_arn=arn, until=control.AWAIT_UNTIL_ENDED, timeout_ms=timeout_ms
        )
        call = self.wire.control.AwaitExecution(request, metadata=self.wire.metadata)
        answer = await asyncio.wait_for(call.read(), LIMIT)
        assert answer is not grpc.aio.EOF, await call.details()
        return answer.page


def host_hello(name: str = "", **settings: Any) -> pb.HostHello:
    name = name or f"host-{next(_numbers)}"
    return pb.HostHello(
        **({"host_id": name, "protocol_version": PROTOCOL_VERSION, "slots": 4, "pid": 1} | settings)
    )


def worker_hello(worker_id: str = "", workspace_id: str = "", **settings: Any) -> pb.WorkerHello:
    return pb.WorkerHello(
        worker_id=worker_id or f"worker-{next(_numbers)}",
        inline_workspace_id=workspace_id,
        **({"protocol_version": PROTOCOL_VERSION, "pid": 1} | settings),
    )


def result_of(invocation: pb.Invocation, output: object) -> pb.SessionRequest:
    return pb.SessionRequest(
        result=pb.InvocationResult(request_id=invocation.request_id, output=json.dumps(output))
    )


SUCCEEDED = {"Status": "SUCCEEDED", "Result": '"fine"'}


def checkpoint(invocation: pb.Invocation, *updates: model.OperationUpdate) -> pb.CheckpointRequest:
    return pb.CheckpointRequest(
        execution_arn=invocation.execution_arn,
        checkpoint_token=invocation.checkpoint_token,
        updates=updates,
    )


def step(id: str, payload: str = "1") -> model.OperationUpdate:
    return model.OperationUpdate(
        id=id,
        type=model.OPERATION_TYPE_STEP,
        action=model.OPERATION_ACTION_SUCCEED,
        payload=payload,
    )


def nap(id: str) -> model.OperationUpdate:
    return model.OperationUpdate(
        id=id,
        type=model.OPERATION_TYPE_WAIT,
        action=model.OPERATION_ACTION_START,
        wait_seconds=60,
    )


class Leased:
    """A worker in the middle of an invocation."""

    def __init__(self, runner: Runner, session: Stream, invocation: Any, arn: str) -> None:
        self.runner, self.session, self.invocation, self.arn = runner, session, invocation, arn

    async def ends_well(self) -> None:
        await self.session.send(result_of(self.invocation, SUCCEEDED))
        page = await self.runner.result(self.arn)
        assert page.head.status == model.EXECUTION_STATUS_SUCCEEDED
        assert len(page.invocations) == 1


async def works(wire: Wire) -> None:
    """A whole execution, from the opening of a runner to its closing."""
    async with wire.runner() as runner:
        await runner.register()
        session = await wire.session(f"worker-{next(_numbers)}", runner.id)
        checkpoints = wire.stream("Checkpoint")
        arn = await runner.start()
        first = (await session.next()).invocation
        reply = await checkpoints.ask(checkpoint(first, step("one"), nap("two")))
        assert not reply.HasField("error"), reply.error
        await session.send(result_of(first, {"Status": "PENDING"}))
        second = (await session.next()).invocation
        assert [each.status for each in second.operations][1:] == [
            model.OPERATION_STATUS_SUCCEEDED
        ] * 2
        await session.send(result_of(second, SUCCEEDED))
        page = await runner.result(arn)
        assert page.head.result == '"fine"'
        assert [each.outcome for each in page.invocations] == ["PENDING", "SUCCEEDED"]
        session.vanish()
