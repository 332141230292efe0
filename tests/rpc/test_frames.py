"""Streams over a Unix socket: what gRPC promises of a call is asked of them."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from async_durable_execution_runner.rpc.frames import (
    FrameChannel,
    busy_poll,
)

from .frame_service import (
    ENDING,
    MESSAGE,
    MIB,
    Code,
    Service,
    echo,
    frame,
    open_files,
    opening,
    refusal,
    sends_as_fast_as_it_may,
)


async def test_messages_of_any_size_come_back_in_order(service: Service) -> None:
    service.offers(echo)
    call = service.call()
    for size in (0, 1, 300, 70_000, 6 * MIB):
        await call.write(bytes(size))
        assert await call.read() == bytes(size)
    for number in range(50):
        await call.write(b"%d" % number)
    assert [await call.read() for _ in range(50)] == [b"%d" % number for number in range(50)]


class Polls:
    """Of connections that poll for as long as it takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(os, "sched_yield", self._poll)
        for name in ("_PATIENCE", "_MOST", "_NOBODY"):
            monkeypatch.setattr(busy_poll, name, 1e9)

    def _poll(self) -> None:
        self.count += 1

    async def go_on(self) -> bool:
        # The first turns may be an end that is on its way.
        for _ in range(10):
            await asyncio.sleep(0)
        before = self.count
        for _ in range(10):
            await asyncio.sleep(0)
        return self.count > before


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Polls:
    return Polls(monkeypatch)


async def test_a_caller_polls_until_the_answer_is_there(service: Service, polls: Polls) -> None:
    async def answer_when_told(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await told.wait()
        writer.write(frame(MESSAGE, b"told"))
        await reader.read()
        writer.close()
        closed.set()

    told, closed = asyncio.Event(), asyncio.Event()
    async with await asyncio.start_unix_server(answer_when_told, f"{service.path}.raw"):
        call = FrameChannel(f"{service.path}.raw").stream_stream("", bytes, bytes)()
        await call.write(b"")
        assert await polls.go_on()
        told.set()
        assert await call.read() == b"told"
        assert not await polls.go_on()
        call.cancel()
        await closed.wait()


async def test_a_server_polls_until_its_stream_ends(service: Service, polls: Polls) -> None:
    service.offers(echo)
    reader, writer = await service.socket()
    for _ in range(3):
        writer.write((opening() if not polls.count else b"") + frame(MESSAGE, b""))
        await reader.readexactly(len(frame(MESSAGE, b"")))
        assert await polls.go_on()
    writer.write(frame(ENDING, b""))
    await reader.read()
    assert not await polls.go_on()
    writer.close()


async def test_a_server_polls_until_its_caller_is_gone(service: Service, polls: Polls) -> None:
    service.offers(echo)
    reader, writer = await service.socket()
    writer.write(opening() + frame(MESSAGE, b""))
    await reader.readexactly(len(frame(MESSAGE, b"")))
    assert await polls.go_on()
    [call] = service.server._calls
    writer.transport.abort()
    await asyncio.wait([call])
    assert not await polls.go_on()


async def test_a_large_message_may_follow_the_opening_at_once(service: Service) -> None:
    service.offers(echo)
    call = service.call()
    await call.write(bytes(6 * MIB))
    assert len(await call.read()) == 6 * MIB


async def test_several_calls_of_one_channel_do_not_mix(service: Service) -> None:
    service.offers(echo)
    calls = [service.call() for _ in range(5)]
    for number, call in enumerate(calls):
        await call.write(b"%d" % number)
    assert [await call.read() for call in reversed(calls)] == [b"4", b"3", b"2", b"1", b"0"]


async def test_bytes_may_come_one_at_a_time(service: Service) -> None:
    service.offers(echo)
    reader, writer = await service.socket()
    for byte in opening() + frame(MESSAGE, b"slowly"):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    answer = frame(MESSAGE, b"slowly")
    assert await reader.readexactly(len(answer)) == answer
    writer.close()


async def test_the_interceptor_sees_method_and_metadata(service: Service) -> None:
    service.offers(echo)
    call = service.call(metadata=(("authorization", "Bearer x"), ("who", "é")))
    await call.write(b"")
    await call.read()
    [(method, metadata)] = service.gate.seen
    assert method == "/test.Service/Talk"
    assert dict(metadata) == {"authorization": "Bearer x", "who": "é"}


async def test_a_handler_that_returns_ends_the_call(service: Service) -> None:
    async def once(_: Any, context: Any) -> None:
        await context.write(await context.read())

    service.offers(once)
    call = service.call()
    await call.write(b"one")
    assert await call.read() == b"one"
    assert not call.done()
    assert await call.read() is grpc.aio.EOF
    assert (call.done(), await call.code(), await call.details()) == (True, Code.OK, "")
    assert await call.read() is grpc.aio.EOF


async def test_nothing_is_reported_of_what_is_said_after_the_end(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave(_: Any, context: Any) -> None:
        pass

    service.offers(leave)
    call = service.call()
    assert await call.read() is grpc.aio.EOF
    for _ in range(10):
        await call.write(b"x")
    assert await call.read() is grpc.aio.EOF
    assert not caplog.records


async def test_who_has_no_more_to_say_is_still_answered(service: Service) -> None:
    async def count(_: Any, context: Any) -> None:
        heard = []
        while (message := await context.read()) is not grpc.aio.EOF:
            heard.append(message)
        await context.write(b"+".join(heard))

    service.offers(count)
    call = service.call()
    await call.write(b"one")
    await call.write(b"two")
    await call.done_writing()
    assert await call.read() == b"one+two"
    assert await call.read() is grpc.aio.EOF


async def test_an_abort_is_the_caller_s_error_from_then_on(service: Service) -> None:
    async def refuse(_: Any, context: Any) -> None:
        await context.read()
        await context.abort(Code.PERMISSION_DENIED, "not you")

    service.offers(refuse)
    call = service.call()
    await call.write(b"")
    denied = (Code.PERMISSION_DENIED, "not you")
    assert await refusal(call.read()) == denied
    assert await refusal(call.read()) == denied
    assert await refusal(call.write(b"")) == denied
    assert (call.done(), await call.code(), await call.details()) == (True, *denied)


async def test_a_handler_that_fails_is_reported_on_both_sides(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Any, context: Any) -> None:
        raise LookupError("no such thing")

    service.offers(fail)
    assert await refusal(service.call().read()) == (Code.UNKNOWN, "LookupError('no such thing')")
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


@pytest.mark.parametrize("method", ["Shout", "Once"])
async def test_what_is_not_here_is_unimplemented(service: Service, method: str) -> None:
    once = grpc.stream_unary_rpc_method_handler(lambda *_: None, bytes, bytes)
    service.server.add_registered_method_handlers("test.Service", {"Once": once})
    code, details = await refusal(service.call(method).read())
    assert (code, details) == (Code.UNIMPLEMENTED, f"There is no method /test.Service/{method}.")


async def test_no_socket_there_is_said_with_its_path(service: Service) -> None:
    call = FrameChannel(f"{service.path}x").stream_stream("/test.Service/Talk", bytes, bytes)()
    code, details = await refusal(call.write(b""))
    assert (code, details) == (Code.UNAVAILABLE, f"{service.path}x: No such file or directory")
    assert call.done()


async def test_a_caller_learns_that_the_server_is_gone(service: Service) -> None:
    service.offers(echo)
    call = service.call()
    await call.write(b"")
    await call.read()
    service.server.stop()
    assert await refusal(call.read()) == (Code.UNAVAILABLE, "the connection was lost")
    assert call.done()
    assert (await refusal(service.call().read()))[0] is Code.UNAVAILABLE


@pytest.mark.parametrize("busy", ["reading", "with something else"])
async def test_a_handler_is_cancelled_when_its_caller_is_gone(service: Service, busy: str) -> None:
    at_work, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_: Any, context: Any) -> None:
        at_work.set()
        try:
            await (context.read() if busy == "reading" else asyncio.Event().wait())
        except asyncio.CancelledError:
            cancelled.set()
            raise

    service.offers(wait)
    call = service.call()
    waiting = asyncio.create_task(refusal(call.read()))
    await at_work.wait()
    call.cancel()
    await cancelled.wait()
    await waiting


async def test_a_handler_is_cancelled_though_another_process_has_the_callers_socket(
    service: Service,
) -> None:
    """A child that the handler's process forked, say."""
    cancelled = asyncio.Event()

    async def wait(_: Any, context: Any) -> None:
        try:
            while True:
                await context.read()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    service.offers(wait)
    before = open_files()
    call = service.call()
    await call.write(b"")
    copies = [os.dup(each) for each in open_files() - before]
    call.cancel()
    await cancelled.wait()
    for each in copies:
        os.close(each)


async def test_what_is_said_after_the_end_is_read_all_the_same(service: Service) -> None:
    """Whoever is still writing could not read the end otherwise."""
    left = asyncio.Event()
    service.offers(lambda *_: left.wait())
    reader, writer = await service.socket()
    writer.write(opening() + frame(MESSAGE, b"") * 40)
    await service.others_are_served()
    left.set()
    assert await reader.read() == frame(ENDING, b"")
    writer.write(bytes(4 * MIB))
    async with asyncio.timeout(5):
        await writer.drain()
    writer.close()


async def test_a_call_can_be_given_up_while_it_waits(service: Service) -> None:
    service.offers(echo)
    call = service.call()
    await call.write(b"")
    await call.read()
    waiting = asyncio.create_task(refusal(call.read()))
    await asyncio.sleep(0)
    call.cancel()
    assert await waiting == (Code.CANCELLED, "Locally cancelled by application!")


async def test_a_sender_waits_for_a_handler_that_does_not_read(service: Service) -> None:
    read = asyncio.Event()

    async def slow(_: Any, context: Any) -> None:
        await read.wait()
        await echo(_, context)

    service.offers(slow)
    call = service.call()
    sending = await sends_as_fast_as_it_may(service, call)
    read.set()
    for _ in range(200):
        assert len(await call.read()) == 64 * 1024
    await sending


async def test_a_handler_waits_for_a_caller_that_does_not_read(service: Service) -> None:
    sent = 0

    async def gush(_: Any, context: Any) -> None:
        nonlocal sent
        for _ in range(200):
            await context.write(bytes(64 * 1024))
            sent += 1

    service.offers(gush)
    call = service.call()
    assert len(await call.read()) == 64 * 1024
    await service.others_are_served()
    assert 16 <= sent < 100
    assert [len(await call.read()) for _ in range(199)] == [64 * 1024] * 199
    assert await call.read() is grpc.aio.EOF


async def test_a_call_to_whoever_does_not_listen_can_be_ended(service: Service) -> None:
    """What it has still to send is dropped: a coordinator that is stopped must stop nobody."""
    service.offers(lambda *_: asyncio.Event().wait())
    call = service.call()

    async def send() -> None:
        for _ in range(200):
            await call.write(bytes(64 * 1024))

    sending = asyncio.create_task(refusal(send()))
    await service.others_are_served()
    assert not sending.done()
    await service.channel.close()
    assert (await sending)[0] is Code.CANCELLED


@pytest.mark.filterwarnings("error")
def test_a_closed_channel_leaves_nothing_to_its_loop() -> None:
    async def use(path: str) -> None:
        channel = FrameChannel(path)
        await channel.stream_stream("/test.Service/Talk", bytes, bytes)().write(b"")
        await channel.close()

    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use(f"{folder}/s"))
        loop.close()
        del loop
        gc.collect()


# -- calls of one request --------------------------------------------------------------------


async def split(request: bytes, _: Any) -> AsyncIterator[bytes]:
    for part in request.split(b","):
        yield part


async def test_a_call_of_one_request_leaves_no_connection(service: Service) -> None:
    described = grpc.unary_stream_rpc_method_handler(split, bytes, bytes)
    service.server.add_registered_method_handlers("test.Service", {"Split": described})
    before = open_files()
    ask = service.channel.unary_stream("/test.Service/Split", bytes, bytes)
    for size in (1, 6 * MIB):
        answers = [each async for each in ask(b"a," + bytes(size), timeout=10)]
        assert answers == [b"a", bytes(size)]
    if service.server._calls:
        await asyncio.wait(service.server._calls)
    assert open_files() == before


async def test_a_call_of_one_request_ends_with_its_time(service: Service) -> None:
    cancelled = asyncio.Event()

    async def endless(request: bytes, _: Any) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return request

    described = grpc.unary_unary_rpc_method_handler(endless, bytes, bytes)
    service.server.add_registered_method_handlers("test.Service", {"Endless": described})
    ask = service.channel.unary_unary("/test.Service/Endless", bytes, bytes)
    assert await refusal(ask(b"", timeout=0.1)) == (Code.DEADLINE_EXCEEDED, "timed out")
    await cancelled.wait()
