"""What is promised of every call to a coordinator, over a Unix socket as over TCP."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Any

import grpc
import pytest
import uvloop
from coordinator.wire import Wire

from async_durable_execution_runner import errors
from async_durable_execution_runner.client import transport as transports
from async_durable_execution_runner.client.control import ControlClient, Start
from async_durable_execution_runner.client.drive import drive
from async_durable_execution_runner.client.transport import (
    BlockingTransport,
    LoopTransport,
    Transport,
    WorkspaceCall,
    channel_at,
    raised,
)
from async_durable_execution_runner.coordinator.control_service import ControlService
from async_durable_execution_runner.coordinator.executor import Executor
from async_durable_execution_runner.coordinator.gate import Gate
from async_durable_execution_runner.rpc import OPTIONS
from async_durable_execution_runner.rpc.v1 import control_pb2 as pb
from async_durable_execution_runner.rpc.v1.control_pb2_grpc import (
    add_ControlServiceServicer_to_server,
)
from async_durable_execution_runner.security.credentials import Credentials, fixed

from .conftest import ADDRESSES
from .served import (
    LIMIT,
    TOKEN,
    Served,
    call_each,
    client,
    connect,
    connections,
    open_workspace,
    register,
)

pytestmark = [pytest.mark.processes, pytest.mark.timeout(30)]

Code = grpc.StatusCode
MIB = 2**20
STATUS = pb.GetStatusRequest()


@pytest.fixture
def channel(served: Served) -> Iterator[grpc.Channel]:
    channel = channel_at(served.address)
    yield channel
    channel.close()


@pytest.fixture
def workspace(channel: grpc.Channel) -> Iterator[WorkspaceCall]:
    workspace = open_workspace(channel)
    yield workspace
    workspace.close()


@pytest.fixture
async def control(transport: Transport, workspace: WorkspaceCall) -> ControlClient:
    """A client of a workspace with the function "order", whose executions never end."""
    control = client(transport, workspace.id)
    await register(control)
    return control


def awaiting(arn: str) -> pb.AwaitExecutionRequest:
    return pb.AwaitExecutionRequest(
        execution_arn=arn, until=pb.AWAIT_UNTIL_ENDED, timeout_ms=60_000
    )


async def refusal(call: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value


# -- answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 70_000, 6 * MIB - 100])
async def test_messages_of_any_size_come_back(control: ControlClient, size: int) -> None:
    arn = await control.start(Start("order", "x" * size))
    record = await control.wait(arn, "now", LIMIT)
    assert record.operations[0].input == "x" * size


async def test_a_refusal_has_its_kind_and_its_text(control: ControlClient) -> None:
    with pytest.raises(errors.ResourceNotFound, match=r"^Execution not found: é\n%41$"):
        await control.wait("é\n%41", "now", LIMIT)
    await control.status()


@pytest.mark.parametrize("letter", ["x", "é", "\n"])
async def test_the_refusal_of_an_overlong_name_is_one(control: ControlClient, letter: str) -> None:
    """A status is among the headers, which a peer takes 8 KiB of."""
    for length in (3000, 9000, MIB):
        with pytest.raises(errors.InvalidParameterValue, match=r"^The execution name '") as caught:
            await control.start(Start("order", "{}", letter * length))
        assert str(caught.value).endswith("characters of A-Z, a-z, 0-9, - and _.")


async def test_thousands_of_calls_at_once_do_not_mix(
    served: Served, transport: Any, control: ControlClient
) -> None:
    arns = [await control.start(Start("order", "{}")) for _ in range(20)]
    other = channel_at(served.address)

    def requests() -> Iterator[pb.AwaitExecutionRequest]:
        for number in range(2000):
            if number == 1999:
                # All others are under way.
                stopper = client(BlockingTransport(other, TOKEN), control.workspace_id)
                for arn in arns:
                    drive(stopper.stop(arn, None))
            yield awaiting(arns[number % 20])

    found = await call_each(transport, requests())
    assert [each for each in found if not isinstance(each, list)] == []
    assert [each[0].page.head.execution_arn for each in found] == arns * 100
    other.close()


async def test_hundreds_of_connections_at_once(served: Served) -> None:
    async with AsyncExitStack() as stack:

        async def come() -> None:
            wire = await stack.enter_async_context(Wire(served.address))
            await stack.enter_async_context(wire.runner())

        before = connections(served.address)
        await asyncio.gather(*(come() for _ in range(300)))
        assert connections(served.address) >= before + 300
        served.serves_others()


def test_threads_may_share_a_channel(channel: grpc.Channel, workspace: WorkspaceCall) -> None:
    control = client(BlockingTransport(channel, TOKEN), workspace.id)
    drive(register(control))

    def ask(thread: int) -> None:
        for number in range(50):
            arn = drive(control.start(Start("order", f"{thread} {number}")))
            record = drive(control.wait(arn, "now", LIMIT))
            assert record.operations[0].input == f"{thread} {number}"

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))


# -- answers that never come ---------------------------------------------------------------


async def test_a_call_ends_with_its_time(control: ControlClient) -> None:
    arn = await control.start(Start("order", "{}"))
    late = await refusal(control.transport.call("AwaitExecution", awaiting(arn), 0.2))
    assert late.code() is Code.DEADLINE_EXCEEDED
    assert raised(late) is None
    await control.status()


async def test_a_coordinator_that_is_stopped_stops_nobody_for_longer(
    served: Served, transport: Transport, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await transport.call("GetStatus", STATUS, LIMIT)
    monkeypatch.setattr(transports, "ANSWER_TIMEOUT", 0.2)
    served.process.send_signal(signal.SIGSTOP)
    try:
        late = await refusal(transport.call("GetStatus", STATUS, 0.2))
        with pytest.raises(errors.RunnerError, match="given up"):
            open_workspace(channel)
    finally:
        served.process.send_signal(signal.SIGCONT)
    assert late.code() is Code.DEADLINE_EXCEEDED
    await transport.call("GetStatus", STATUS, LIMIT)


@pytest.mark.parametrize("method", ["StartExecution", "RunExecutions"])
async def test_a_large_request_that_nobody_reads_is_given_up(
    served: Served, control: ControlClient, method: str
) -> None:
    """gRPC itself waits until it is written, whatever the deadline."""
    start = pb.StartExecutionRequest(
        workspace_id=control.workspace_id, function_name="order", payload="x" * 6_000_000
    )
    request = start if method == "StartExecution" else pb.RunExecutionsRequest(starts=[start])
    await control.status()
    served.process.send_signal(signal.SIGSTOP)
    # It wakes up by itself, so that a call that does not end fails this test and no other.
    waking = threading.Timer(LIMIT, served.process.send_signal, [signal.SIGCONT])
    waking.start()
    began = time.monotonic()
    try:
        late = await refusal(control.transport.call(method, request, 0.2))
    finally:
        waking.cancel()
        served.process.send_signal(signal.SIGCONT)
    assert late.code() is Code.DEADLINE_EXCEEDED
    assert time.monotonic() - began < LIMIT
    assert raised(late) is None
    await control.status()


async def test_a_call_may_have_all_the_time_in_the_world(control: ControlClient) -> None:
    for timeout in (1e9, 1e12, 1e300, float("inf")):
        await control.transport.call("GetStatus", STATUS, timeout)
    arn = await control.start(Start("order", "{}"))
    await control.stop(arn, None)
    messages = control.transport.messages("AwaitExecution", awaiting(arn), 1e12)
    assert [message.page.head.execution_arn async for message in messages] == [arn]


async def test_a_call_may_have_no_time(transport: Transport) -> None:
    for timeout in (-1, -1e12):
        late = await refusal(transport.call("GetStatus", STATUS, timeout))
        assert late.code() is Code.DEADLINE_EXCEEDED


async def test_a_call_that_has_just_no_time_is_late_or_answered(transport: Transport) -> None:
    refusals = []
    for _ in range(20):
        try:
            await transport.call("GetStatus", STATUS, 0)
        except grpc.RpcError as late:
            refusals.append(late.code())
    assert set(refusals) <= {Code.DEADLINE_EXCEEDED}


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("unix:/nowhere/at/all", r"/nowhere/at/all.* No such file"),
        ("unix:/" + "x" * 200, "not valid"),
        ("127.0.0.1:1", "refused"),
    ],
    ids=["no file", "too long", "refused"],
)
async def test_an_address_where_nobody_listens_is_told(address: str, why: str) -> None:
    loop_transport, channel = LoopTransport(address, TOKEN), channel_at(address)
    for each in (loop_transport, BlockingTransport(channel, TOKEN)):
        with pytest.raises(errors.RunnerError, match=why):
            await client(each).status()
    await loop_transport.close()
    channel.close()


async def test_a_listener_that_says_nothing_is_waited_for_no_longer(
    transport: Transport, tmp_path: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        other = type(transport)(
            channel_at(address) if isinstance(transport, BlockingTransport) else address, TOKEN
        )
        late = await refusal(other.call("GetStatus", STATUS, 0.2))
        assert late.code() is Code.DEADLINE_EXCEEDED
        await other.close()


# -- calls that are given up ---------------------------------------------------------------


class Servicers:
    """The coordinator's own servicers on a thread of this process, to be looked into."""

    def __init__(self, listen: str) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.address = self._do(self._start(listen))
        self._idle = len(self.tasks())

    async def _start(self, listen: str) -> str:
        numbers = itertools.count(1)
        self.executor = Executor(lambda: f"id-{next(numbers)}", lambda: "token")
        gate = Gate(Credentials(fixed(TOKEN), fixed(TOKEN)))
        self._server = grpc.aio.server(interceptors=[gate], options=OPTIONS)
        control = ControlService(self.executor, "c-1", lambda: f"id-{next(numbers)}")
        add_ControlServiceServicer_to_server(control, self._server)
        port = self._server.add_insecure_port(listen)
        await self._server.start()
        return listen if listen.startswith("unix:") else f"127.0.0.1:{port}"

    def _do(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(LIMIT)

    def tasks(self) -> set[asyncio.Task[Any]]:
        async def tasks() -> set[asyncio.Task[Any]]:
            return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

        return self._do(tasks())  # type: ignore[no-any-return]

    def waiting(self) -> int:
        """Calls that wait for an execution."""
        return sum(len(run.watchers) for run in self.executor.runs.values())

    def until(self, condition: Callable[[], bool]) -> None:
        """Let it get on until `condition` holds."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            left = [task.get_coro() for task in self.tasks()]
            assert time.monotonic() < deadline, f"{self.waiting()} calls wait; {left} run."

    def is_idle(self) -> bool:
        """Whether it has no call under way, and no state of any."""
        executor = self.executor
        return len(self.tasks()) == self._idle and executor.workspaces == executor.runs == {}

    def stop(self) -> None:
        self._do(self._server.stop(None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="module", params=ADDRESSES)
def shared_servicers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servicers]:
    directory = tmp_path_factory.mktemp("servicers")
    servicers = Servicers(ADDRESSES[request.param].format(directory=directory))
    yield servicers
    servicers.stop()


@pytest.fixture
def servicers(shared_servicers: Servicers) -> Iterator[Servicers]:
    """Servicers; no call of a test may be under way when it is over, and no state left of it."""
    yield shared_servicers
    shared_servicers.until(shared_servicers.is_idle)


class Waiting:
    """A workspace, and calls of one transport that wait for an execution which never ends."""

    def __init__(self, servicers: Servicers, transport: Transport, channel: grpc.Channel) -> None:
        self.servicers, self.transport, self._channel = servicers, transport, channel
        self.workspace = open_workspace(channel)
        self._control = client(BlockingTransport(channel, TOKEN), self.workspace.id)
        drive(register(self._control))
        self.request = awaiting(drive(self._control.start(Start("order", "{}"))))

    async def run(self, count: int) -> AsyncGenerator[Any, None]:
        """The outcomes of `count` executions, which never come, after one that has come."""
        starts = [Start("none", "{}"), *[Start("order", "{}")] * count]
        control = client(self.transport, self.workspace.id)
        outcomes = control.run_each(starts, 1e9, 100)
        assert isinstance(await anext(outcomes), errors.ResourceNotFound)
        return outcomes

    def until(self, calls: int) -> None:
        self.servicers.until(lambda: self.servicers.waiting() == calls)


@pytest.fixture(params=["blocking", "loop"])
async def waiting(request: pytest.FixtureRequest, servicers: Servicers) -> AsyncIterator[Waiting]:
    channel = channel_at(servicers.address)
    loop_transport = LoopTransport(servicers.address, TOKEN)
    blocking = BlockingTransport(channel, TOKEN)
    waiting = Waiting(servicers, loop_transport if request.param == "loop" else blocking, channel)
    yield waiting
    waiting.until(calls=0)
    waiting.workspace.close()
    await loop_transport.close()
    channel.close()


async def test_a_call_whose_answers_nobody_wants_any_more_is_ended(waiting: Waiting) -> None:
    outcomes = await waiting.run(50)
    waiting.until(calls=50)
    await outcomes.aclose()


async def test_an_interrupt_ends_what_is_under_way(waiting: Waiting) -> None:
    outcomes = await waiting.run(10)
    waiting.until(calls=10)
    # Its traceback holds the call: it must not end only because nobody has it any more.
    with pytest.raises(KeyboardInterrupt) as held:
        await outcomes.athrow(KeyboardInterrupt)
    waiting.until(calls=0)
    del held


async def test_a_call_that_came_too_late_is_ended(waiting: Waiting) -> None:
    late = await refusal(waiting.transport.call("AwaitExecution", waiting.request, 0.1))
    assert late.code() is Code.DEADLINE_EXCEEDED


async def test_a_task_that_is_cancelled_ends_its_call(waiting: Waiting) -> None:
    other = LoopTransport(waiting.servicers.address, TOKEN)
    task = asyncio.create_task(other.call("AwaitExecution", waiting.request, 1e9))
    await other.call("GetStatus", STATUS, LIMIT)
    waiting.until(calls=1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    waiting.until(calls=0)
    await other.close()


async def test_a_channel_that_is_closed_ends_its_calls(waiting: Waiting) -> None:
    other = LoopTransport(waiting.servicers.address, TOKEN)
    task = asyncio.create_task(other.call("AwaitExecution", waiting.request, 1e9))
    await other.call("GetStatus", STATUS, LIMIT)
    waiting.until(calls=1)
    await other.close()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_call_that_has_ended_can_be_given_up(waiting: Waiting) -> None:
    """As an interrupt just after the last outcome may."""
    outcomes = await waiting.run(0)
    await outcomes.aclose()
    outcomes = await waiting.run(0)
    assert [each async for each in outcomes] == []
    await outcomes.aclose()
    await waiting.transport.call("GetStatus", STATUS, LIMIT)


async def test_a_closed_workspace_takes_all_its_calls_along(waiting: Waiting) -> None:
    written = waiting.workspace.follow_output()
    outcomes = await waiting.run(10)
    waiting.until(calls=10)
    waiting.workspace.close()
    assert [type(each) async for each in outcomes] == [errors.ResourceNotFound] * 10
    waiting.workspace.close()
    del written


async def test_who_has_no_token_leaves_no_call(waiting: Waiting) -> None:
    stranger = BlockingTransport(channel_at(waiting.servicers.address), "wrong")
    for _ in range(20):
        denied = await refusal(stranger.call("AwaitExecution", waiting.request, LIMIT))
        assert isinstance(raised(denied), errors.Unauthenticated)


# -- nothing is left open ------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_a_closed_transport_leaves_nothing_to_its_loop(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async def use() -> None:
        transport = LoopTransport(served.address, TOKEN)
        await transport.call("GetStatus", STATUS, LIMIT)
        await transport.close()

    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.close()
        del loop
        gc.collect()
    assert not caplog.records


async def test_a_call_that_is_given_up_ends_though_a_fork_has_its_socket(
    served: Served, channel: grpc.Channel
) -> None:
    workspace = open_workspace(channel)
    control = client(BlockingTransport(channel, TOKEN), workspace.id)
    await register(control)
    await control.start(Start("order", "{}"))
    ours, forks = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        forks.recv(1)
        os._exit(0)
    forks.close()
    try:
        await control.status()
        workspace.close()
        served.until(served.is_idle)
    finally:
        ours.close()
        os.waitpid(child, 0)  # noqa: ASYNC222


async def test_a_process_that_may_open_no_more_files_is_told(served: Served) -> None:
    """What is connected goes on, and the next try may succeed."""
    ours = BlockingTransport(channel_at(served.address), TOKEN)
    await ours.call("GetStatus", STATUS, LIMIT)
    options = [*OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(served.address, options=options) as channel:
        another = BlockingTransport(channel, TOKEN)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            await ours.call("GetStatus", STATUS, LIMIT)
            refused = await refusal(another.call("GetStatus", STATUS, LIMIT))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert refused.code() is Code.UNAVAILABLE
        assert "Too many open files" in str(refused.details())
        while True:
            with suppress(grpc.RpcError):
                await another.call("GetStatus", STATUS, LIMIT)
                break


async def test_a_coordinator_that_may_open_no_more_files_serves_whom_it_has(
    served: Served, transport: Transport
) -> None:
    await transport.call("GetStatus", STATUS, LIMIT)
    limits = resource.prlimit(served.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(served.pid, resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with ExitStack() as strangers:
            for _ in range(20):
                strangers.enter_context(connect(served.address))
            for _ in range(20):
                await transport.call("GetStatus", STATUS, LIMIT)
    finally:
        resource.prlimit(served.pid, resource.RLIMIT_NOFILE, limits)
    async with Wire(served.address) as newcomer:
        await newcomer.status()
