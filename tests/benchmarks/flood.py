"""A load for one coordinator that costs less than the coordinator does: it stands in for a worker
host and all of its workers, and for the clients of a bare gRPC server.

    python flood.py ADDRESS SESSIONS COORDINATOR_PID     (the token is the first line of its input)
    python flood.py echo SESSIONS

Each further line of standard input is a number of checkpoints. The first invocation of each session
is kept until there are as many as sessions; then each of them checkpoints that often, one after the
other and all sessions at once. The answer is a line of JSON, `Flood`. An invocation whose input is
0 creates a callback and suspends.

No SDK runs here and no message is decoded: each session has a connection and streams of its own, as
a worker process has, and sends what the SDK sends for a step. So a coordinator is measured at what
it can bear, and not at what handlers on the same two cores leave it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from async_durable_execution_runner.rpc import OPTIONS, PROTOCOL_VERSION, WORKER_ID, set_up_grpc

set_up_grpc()
import grpc  # noqa: E402
import uvloop  # noqa: E402

from async_durable_execution_runner.rpc.v1 import model_pb2, worker_pb2  # noqa: E402

_SERVICE = "/async_durable_execution_runner.rpc.v1.WorkerService/"
_ECHO = "/benchmark.Echo/Echo"
#: A connection for each channel.
_OPTIONS = [*OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
#: The bytes of a step's checkpoint, and of the answer.
REQUEST_BYTES, REPLY_BYTES = 430, 131
_LINE = "/home/user/project/tests/benchmarks/handlers.py:22 in steps_of"

Exchange = Callable[[int], Awaitable[None]]


class Flood(NamedTuple):
    """What a number of checkpoints took. Times are in seconds."""

    checkpoints: int
    seconds: float
    #: Of the server's processor time.
    server: float
    #: Of this process's.
    own: float
    #: Round trips.
    median: float
    longest: float


def ran(pid: int) -> float:
    """The seconds for which the process has run, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


async def _pump(sessions: list[Exchange], times: int, pid: int) -> Flood:
    """Have all sessions make so many exchanges at once."""
    trips: list[float] = []
    clock = time.perf_counter

    async def one(exchange: Exchange) -> None:
        for number in range(times):
            began = clock()
            await exchange(number)
            trips.append(clock() - began)

    server, own, began = ran(pid), time.process_time(), clock()
    await asyncio.gather(*map(one, sessions))
    return Flood(
        len(trips),
        clock() - began,
        ran(pid) - server,
        time.process_time() - own,
        statistics.median(trips),
        max(trips),
    )


def _text(number: int, text: bytes) -> bytes:
    """A field of a message, which has less than 128 bytes of text."""
    return bytes((number << 3 | 2, len(text))) + text


def _steps(arn: str) -> bytes:
    """What follows the token in the checkpoint of a step, with an id of 64 zeroes."""
    step = {
        "id": "0" * 64,
        "type": model_pb2.OPERATION_TYPE_STEP,
        "name": "step",
        "sub_type": "Step",
    }
    request = worker_pb2.CheckpointRequest(execution_arn=arn)
    request.updates.add(action=model_pb2.OPERATION_ACTION_START, **step)
    request.updates.add(action=model_pb2.OPERATION_ACTION_SUCCEED, payload="1", **step)
    request.sources.add(line=_LINE)
    request.sources.add()
    return request.SerializeToString()


class _Hosts:
    """A worker host, and the workers that it is told to start."""

    def __init__(self, address: str, token: str, sessions: int) -> None:
        self._address = address
        self._token = token
        self._sessions = sessions
        self._kept: list[Exchange] = []
        self._all_there = asyncio.Event()
        self._go_on = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def _stream(self, channel: Any, method: str, worker_id: str, token: str, raw: bool) -> Any:
        kinds = getattr(worker_pb2, f"{method}Request"), getattr(worker_pb2, f"{method}Response")
        coders = (None, None) if raw else (kinds[0].SerializeToString, kinds[1].FromString)
        metadata = (("authorization", f"Bearer {token}"), (WORKER_ID, worker_id))
        return channel.stream_stream(_SERVICE + method, *coders)(metadata=metadata)

    async def run(self) -> None:
        async with grpc.aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            call = self._stream(channel, "Supervise", "", self._token, raw=False)
            hello = worker_pb2.HostHello(
                host_id=f"flood-{os.getpid()}",
                protocol_version=PROTOCOL_VERSION,
                slots=self._sessions,
                pid=os.getpid(),
            )
            await call.write(worker_pb2.SuperviseRequest(hello=hello))
            while (order := await call.read()) is not grpc.aio.EOF:
                if order.WhichOneof("message") == "start":
                    task = asyncio.create_task(self._work(order.start))
                    self._tasks.add(task)

    async def _work(self, start: Any) -> None:
        async with grpc.aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            who = start.worker_id, start.credential
            session = self._stream(channel, "Session", *who, raw=False)
            hello = worker_pb2.WorkerHello(
                worker_id=start.worker_id, protocol_version=PROTOCOL_VERSION, pid=os.getpid()
            )
            await session.write(worker_pb2.SessionRequest(hello=hello))
            await session.read()
            checkpoints = self._stream(channel, "Checkpoint", *who, raw=True)
            while (message := await session.read()) is not grpc.aio.EOF:
                invocation = message.invocation
                if invocation.operations[0].input == "0":
                    output = await self._create_callback(checkpoints, invocation)
                else:
                    output = await self._keep(checkpoints, invocation)
                result = worker_pb2.InvocationResult(
                    request_id=invocation.request_id, output=json.dumps(output)
                )
                await session.write(worker_pb2.SessionRequest(result=result))

    async def _create_callback(self, checkpoints: Any, invocation: Any) -> dict[str, str]:
        request = worker_pb2.CheckpointRequest(
            execution_arn=invocation.execution_arn, checkpoint_token=invocation.checkpoint_token
        )
        request.updates.add(
            id="0" * 64,
            type=model_pb2.OPERATION_TYPE_CALLBACK,
            action=model_pb2.OPERATION_ACTION_START,
            name="answer",
            sub_type="Callback",
        )
        await checkpoints.write(request.SerializeToString())
        await checkpoints.read()
        return {"Status": "PENDING"}

    async def _keep(self, checkpoints: Any, invocation: Any) -> dict[str, str]:
        token = invocation.checkpoint_token.encode()
        step = _steps(invocation.execution_arn)
        made = 0

        async def exchange(_: int) -> None:
            nonlocal token, made
            made += 1
            await checkpoints.write(_text(2, token) + step.replace(b"0" * 64, b"%064d" % made))
            reply = await checkpoints.read()
            assert reply[0] == 1 << 3 | 2, "a checkpoint was refused"
            token = reply[2 : 2 + reply[1]]

        self._kept.append(exchange)
        if len(self._kept) == self._sessions:
            self._all_there.set()
        await self._go_on.wait()
        return {"Status": "SUCCEEDED", "Result": "1"}

    async def all_there(self) -> list[Exchange]:
        """Wait until every session has an invocation."""
        await self._all_there.wait()
        return self._kept

    def let_go(self) -> None:
        """Have all invocations return."""
        self._go_on.set()
        self._go_on = asyncio.Event()
        self._kept = []
        self._all_there.clear()


async def _flood(address: str, sessions: int, pid: int) -> None:
    hosts = _Hosts(address, await _line(), sessions)
    running = asyncio.create_task(hosts.run())
    while line := await _line():
        print(json.dumps(await _pump(await hosts.all_there(), int(line), pid)), flush=True)
        hosts.let_go()
    running.cancel()


async def _line() -> str:
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


# -- bare gRPC -----------------------------------------------------------------------------------


async def _serve(address: str) -> None:
    reply = bytes(REPLY_BYTES)

    async def echo(_: object, context: Any) -> None:
        while await context.read() is not grpc.aio.EOF:
            await context.write(reply)

    handler = grpc.stream_stream_rpc_method_handler(echo)
    service = grpc.method_handlers_generic_handler("benchmark.Echo", {"Echo": handler})
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port(address)
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def _echo_beside(sessions: int) -> None:
    command = [sys.executable, __file__, "serve", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            uvloop.run(_flood_echo(server.stdout.readline().strip(), sessions, server.pid))
        finally:
            server.kill()


async def _flood_echo(port: str, sessions: int, pid: int) -> None:
    request = bytes(REQUEST_BYTES)

    def exchange_on(call: Any) -> Exchange:
        async def exchange(_: int) -> None:
            await call.write(request)
            await call.read()

        return exchange

    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS) for _ in range(sessions)
    ]
    calls = [exchange_on(channel.stream_stream(_ECHO)()) for channel in channels]
    await _pump(calls, 1, pid)
    while line := await _line():
        print(json.dumps(await _pump(calls, int(line), pid)), flush=True)


# -- for the rows --------------------------------------------------------------------------------


class Flooding:
    """A `flood.py`, kept and asked again and again."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, checkpoints: int) -> Flood:
        """What so many checkpoints of each session take."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{checkpoints}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"flood.py ended with {self._process.wait()}")
        return Flood(*json.loads(line))


@contextmanager
def flooding(*arguments: object, token: str = "") -> Iterator[Flooding]:
    command = [sys.executable, __file__, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            if token:
                assert process.stdin is not None
                process.stdin.write(f"{token}\n")
                process.stdin.flush()
            yield Flooding(process)
        finally:
            # It ends with its standard input.
            process.communicate()


#: The tokens of a coordinator that is measured.
CLIENT_TOKEN, HOST_TOKEN = "client-token", "host-token"


@contextmanager
def coordinator() -> Iterator[tuple[str, int]]:
    """The address and process id of a coordinator on loopback, in plaintext."""
    command = [sys.executable, "-P", "-m", "async_durable_execution_runner", "coordinator"]
    command += ["--listen", "127.0.0.1:0"]
    with tempfile.TemporaryDirectory() as folder:
        for option, token in (("token", CLIENT_TOKEN), ("worker-host-token", HOST_TOKEN)):
            file = Path(folder) / option
            file.write_text(token)
            command += [f"--{option}-file", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().split()[4].strip(","), process.pid
            finally:
                process.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        uvloop.run(_serve(sys.argv[2]))
    elif sys.argv[1] == "echo":
        _echo_beside(int(sys.argv[2]))
    else:
        uvloop.run(_flood(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
