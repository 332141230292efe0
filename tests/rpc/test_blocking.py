"""Calls that block, over a Unix socket: what gRPC promises of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
import pytest
import uvloop

from async_durable_execution_runner.rpc.frames import BlockingFrameChannel, FrameServer

Code = grpc.StatusCode
T = TypeVar("T")
MIB = 2**20


class Gate(grpc.aio.ServerInterceptor):
    def __init__(self) -> None:
        self.metadata: list[dict[str, str]] = []

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        self.metadata.append(dict(details.invocation_metadata))
        return await continuation(details)


class Service:
    """A server on a loop and a thread of its own; `calls` are the methods as a caller has them."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self.path = path
        self.gate = Gate()
        self.cancelled = threading.Event()
        self._loop = loop
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._do(self._start)

    async def _start(self) -> None:
        self._server = FrameServer(self.gate)
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        handlers = {
            "Echo": unary(self._echo, bytes, bytes),
            "Refuse": unary(self._refuse, bytes, bytes),
            "Fail": unary(self._fail, bytes, bytes),
            "Split": stream(self._split, bytes, bytes),
            "Endless": stream(self._endless, bytes, bytes),
            "Drip": stream(self._drip, bytes, bytes),
        }
        self._server.add_registered_method_handlers("test.Service", handlers)
        await self._server.start(self.path)

    @staticmethod
    async def _echo(request: bytes, _: Any) -> bytes:
        return request

    @staticmethod
    async def _refuse(request: bytes, context: Any) -> None:
        await context.abort(Code.NOT_FOUND, request.decode(), (("error-code", "é"),))

    @staticmethod
    async def _fail(request: bytes, _: Any) -> None:
        raise LookupError(request.decode())

    @staticmethod
    async def _split(request: bytes, _: Any) -> AsyncIterator[bytes]:
        for part in request.split(b","):
            yield part

    async def _endless(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        try:
            yield request
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    @staticmethod
    async def _drip(request: bytes, _: Any) -> AsyncIterator[bytes]:
        while True:
            yield request
            await asyncio.sleep(0.001)

    def _do(self, function: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(function(), self._loop).result(10)

    def stop(self) -> None:
        async def stop() -> None:
            self._server.stop()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if tasks:
                await asyncio.wait(tasks)

        self._do(stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def service(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        service = Service(str(Path(folder) / "s"), request.param())
        yield service
        if not service._loop.is_closed():
            service.stop()
    assert not [record for record in caplog.records if record.name == "asyncio"]


@pytest.fixture
def channel(service: Service) -> Iterator[BlockingFrameChannel]:
    channel = BlockingFrameChannel(service.path)
    yield channel
    channel.close()


def call(channel: BlockingFrameChannel, method: str, request: bytes, timeout: float = 10) -> Any:
    kind = channel.unary_stream if method in ("Split", "Endless", "Drip") else channel.unary_unary
    return kind(f"/test.Service/{method}", bytes, bytes)(request, timeout=timeout)


def refusal(begin: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        begin()
    return raised.value.code(), raised.value.details()


def sockets() -> int:
    """Open in this process, on both sides."""
    found = 0
    for each in os.listdir("/proc/self/fd"):
        # The server's thread may close it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{each}").startswith("socket:")
    return found


def until(condition: Callable[[], bool]) -> None:
    """For what another thread does by itself."""
    limit = threading.Event()
    for _ in range(500):
        if condition():
            return
        limit.wait(0.01)
    raise AssertionError("It never came to be.")


@pytest.mark.parametrize("size", [0, 1, 70_000, 6 * MIB])
def test_an_answer_of_any_size_comes_back(channel: BlockingFrameChannel, size: int) -> None:
    assert call(channel, "Echo", bytes(size)) == bytes(size)


def test_a_call_may_have_all_the_time_in_the_world(channel: BlockingFrameChannel) -> None:
    assert call(channel, "Echo", b"", timeout=1e12) == b""


def test_a_stream_of_answers_comes_in_order(channel: BlockingFrameChannel) -> None:
    request = b",".join([b"", b"a", bytes(3 * MIB), b"c"] * 3)
    assert list(call(channel, "Split", request)) == request.split(b",")


def test_the_interceptor_sees_the_metadata_of_each_call(
    service: Service, channel: BlockingFrameChannel
) -> None:
    echo = channel.unary_unary("/test.Service/Echo", bytes, bytes)
    for token in ("one", "two"):
        echo(b"", timeout=10, metadata=(("authorization", token),))
    assert service.gate.metadata == [{"authorization": "one"}, {"authorization": "two"}]


def test_calls_one_after_another_share_a_connection(channel: BlockingFrameChannel) -> None:
    call(channel, "Echo", b"")
    [connection] = channel._idle
    for number in range(20):
        assert list(call(channel, "Split", b"%d,x" % number)) == [b"%d" % number, b"x"]
        assert channel._idle == [connection]


def test_calls_at_once_do_not_mix(channel: BlockingFrameChannel) -> None:
    under_way = [call(channel, "Split", b"%d,%d" % (number, -number)) for number in range(9)]
    for number, each in reversed(list(enumerate(under_way))):
        assert list(each) == [b"%d" % number, b"%d" % -number]


def test_most_connections_end_with_the_rush(channel: BlockingFrameChannel) -> None:
    before = sockets()
    under_way = [call(channel, "Split", b"a") for _ in range(100)]
    assert [list(each) for each in under_way] == [[b"a"]] * 100
    del under_way
    until(lambda: sockets() < before + 50)


def test_threads_may_share_a_channel(channel: BlockingFrameChannel) -> None:
    def ask(thread: int) -> None:
        for number in range(200):
            request = b"%d %d" % (thread, number)
            assert call(channel, "Echo", request) == request

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(4)))


def test_a_refusal_has_its_code_text_and_metadata(channel: BlockingFrameChannel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        call(channel, "Refuse", b"not here")
    error = raised.value
    assert (error.code(), error.details()) == (Code.NOT_FOUND, "not here")
    assert dict(error.trailing_metadata()) == {"error-code": "é"}
    assert call(channel, "Echo", b"again") == b"again"


def test_a_method_that_fails_is_reported_on_both_sides(
    channel: BlockingFrameChannel, caplog: pytest.LogCaptureFixture
) -> None:
    failed = refusal(lambda: call(channel, "Fail", b"lost"))
    assert failed == (Code.UNKNOWN, "LookupError('lost')")
    assert [record.message for record in caplog.records] == ["A call failed."]


def test_a_method_that_is_not_there_is_unimplemented(channel: BlockingFrameChannel) -> None:
    code, details = refusal(lambda: call(channel, "Shout", b""))
    assert (code, details) == (Code.UNIMPLEMENTED, "There is no method /test.Service/Shout.")


def test_a_call_ends_with_its_time(service: Service, channel: BlockingFrameChannel) -> None:
    answers = iter(call(channel, "Endless", b"first", timeout=1))
    assert next(answers) == b"first"
    assert refusal(lambda: next(answers))[0] is Code.DEADLINE_EXCEEDED
    assert service.cancelled.wait(10)
    assert call(channel, "Echo", b"again") == b"again"


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_call_may_have_no_time(channel: BlockingFrameChannel, timeout: float) -> None:
    late = refusal(lambda: call(channel, "Echo", b"", timeout=timeout))
    assert late == (Code.DEADLINE_EXCEEDED, "timed out")


def test_a_call_ends_with_its_time_though_answers_come(channel: BlockingFrameChannel) -> None:
    code, details = refusal(lambda: list(call(channel, "Drip", b"again", timeout=0.1)))
    assert (code, details) == (Code.DEADLINE_EXCEEDED, "timed out")


def test_a_call_ends_with_its_time_though_nobody_takes_what_it_says(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        channel = BlockingFrameChannel(str(tmp_path / "s"))
        said = refusal(lambda: call(channel, "Echo", bytes(6 * MIB), timeout=0.1))
    assert said[0] is Code.DEADLINE_EXCEEDED


@pytest.mark.parametrize("how", ["cancelled", "left", "never read"])
def test_nobody_works_for_a_caller_that_is_gone(
    service: Service, channel: BlockingFrameChannel, how: str
) -> None:
    endless = call(channel, "Endless", b"first")
    if how == "left":
        answers = iter(endless)
        assert next(answers) == b"first"
        answers.close()
    elif how == "cancelled":
        endless.cancel()
    else:
        del endless
    assert service.cancelled.wait(10)


def test_a_call_that_is_given_up_ends_though_another_process_has_its_socket(
    service: Service, channel: BlockingFrameChannel
) -> None:
    """A child that the test has forked, say."""
    endless = call(channel, "Endless", b"first")
    copy = os.dup(endless._connection.fileno())
    endless.cancel()
    assert service.cancelled.wait(10)
    os.close(copy)


def test_a_call_that_has_ended_can_be_cancelled(channel: BlockingFrameChannel) -> None:
    """As an interrupt in the midst of many may."""
    ended = call(channel, "Split", b"a")
    assert list(ended) == [b"a"]
    ended.cancel()
    assert call(channel, "Echo", b"again") == b"again"


def test_a_call_that_is_interrupted_as_it_begins_is_given_up(
    service: Service, channel: BlockingFrameChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(socket.socket):
        def sendall(self, *arguments: Any) -> None:
            super().sendall(*arguments)
            raise KeyboardInterrupt

    monkeypatch.setattr(socket, "socket", Interrupted)
    with pytest.raises(KeyboardInterrupt) as held:
        call(channel, "Endless", b"first")
    assert service.cancelled.wait(10)
    del held


def test_more_than_may_wait_to_be_let_in(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        first = stack.enter_context(socket.socket(socket.AF_UNIX))
        first.connect(path)
        channel = BlockingFrameChannel(path)
        late = refusal(lambda: call(channel, "Echo", b"", timeout=0.1))
        assert late == (Code.DEADLINE_EXCEEDED, "timed out")


def test_a_server_that_goes_is_told(service: Service, channel: BlockingFrameChannel) -> None:
    answers = iter(call(channel, "Endless", b"first"))
    next(answers)
    service.stop()
    assert refusal(lambda: next(answers)) == (Code.UNAVAILABLE, "the connection was lost")


def test_a_server_that_went_is_told(service: Service, channel: BlockingFrameChannel) -> None:
    call(channel, "Echo", b"")
    service.stop()
    assert refusal(lambda: call(channel, "Echo", b""))[0] is Code.UNAVAILABLE
    # Since Python 3.13 a server takes its socket's file away.
    Path(service.path).unlink(missing_ok=True)
    code, details = refusal(lambda: call(channel, "Echo", b""))
    assert (code, details) == (Code.UNAVAILABLE, f"{service.path}: No such file or directory")


def test_no_file_left_is_said(channel: BlockingFrameChannel) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        code, details = refusal(lambda: call(channel, "Echo", b""))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (code, details) == (Code.UNAVAILABLE, f"{channel.path}: Too many open files")


def test_a_closed_channel_has_no_connections(channel: BlockingFrameChannel) -> None:
    before = sockets()
    under_way = call(channel, "Split", b"a,b")
    call(channel, "Echo", b"")
    channel.close()
    with pytest.raises(ValueError, match="closed channel"):
        call(channel, "Echo", b"")
    assert list(under_way) == [b"a", b"b"]
    del under_way
    until(lambda: sockets() == before)


def test_a_fork_has_connections_of_its_own(
    channel: BlockingFrameChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What two processes say on one connection would be one another's calls."""
    call(channel, "Echo", b"")
    idle = list(channel._idle)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert call(channel, "Echo", b"child") == b"child"
    its_own = list(channel._idle)
    assert call(channel, "Echo", b"again") == b"again"
    assert its_own == channel._idle
    assert not set(its_own) & set(idle)
    assert [each.fileno() for each in idle] == [-1]
