"""Messages that are answered as they come, before the handler reads."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import DecodeError

from .frame_service import (
    MESSAGE,
    Code,
    Service,
    frame,
    opening,
    refusal,
    sends_as_fast_as_it_may,
)


def shouts(message: bytes) -> bytes | None:
    """An answer to all but questions."""
    return None if b"?" in message else message.upper()


async def shout(_: Any, context: Any) -> None:
    context.answer_each(shouts)
    while (message := await context.read()) is not grpc.aio.EOF:
        await context.write(shouts(message) or b"read " + message)


async def test_what_is_answered_at_once_is_not_read(service: Service) -> None:
    read = []

    async def listen(_: Any, context: Any) -> None:
        context.answer_each(shouts)
        while (message := await context.read()) is not grpc.aio.EOF:
            read.append(message)
            await context.write(b"read")

    service.offers(listen)
    call = service.call()
    # The first comes with the opening, before there is a handler.
    await call.write(b"?")
    assert await call.read() == b"read"
    for message, answer in ((b"one", b"ONE"), (b"two?", b"read"), (b"three", b"THREE")):
        await call.write(message)
        assert await call.read() == answer
    assert read == [b"?", b"two?"]
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_answers_keep_the_order_of_the_messages(service: Service) -> None:
    service.offers(shout)
    reader, writer = await service.socket()
    said = [b"%d%s" % (number, b"?" if number % 3 == 1 else b"a") for number in range(12)]
    writer.write(opening())
    for begin in range(0, 12, 4):
        await service.others_are_served()
        writer.write(b"".join(frame(MESSAGE, each) for each in said[begin : begin + 4]))
    answers = b"".join(frame(MESSAGE, shouts(each) or b"read " + each) for each in said)
    assert await reader.readexactly(len(answers)) == answers
    writer.close()


async def test_what_comes_while_the_handler_is_busy_waits_for_it(service: Service) -> None:
    free = asyncio.Event()

    async def busy(_: Any, context: Any) -> None:
        context.answer_each(shouts)
        await context.write(b"busy with " + await context.read())
        await free.wait()
        await context.write(b"free")
        await shout(_, context)

    service.offers(busy)
    call = service.call()
    await call.write(b"?")
    assert await call.read() == b"busy with ?"
    await call.write(b"one")
    await call.write(b"two")
    await service.others_are_served()
    free.set()
    assert [await call.read() for _ in range(3)] == [b"free", b"ONE", b"TWO"]


async def test_who_does_not_read_its_answers_must_wait(service: Service) -> None:
    service.offers(shout)
    call = service.call()
    sending = await sends_as_fast_as_it_may(service, call)
    for _ in range(200):
        assert await call.read() == b"A" * 64 * 1024
    await sending


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (LookupError("no such thing"), (Code.UNKNOWN, "LookupError('no such thing')")),
        (DecodeError("garbage"), (Code.INTERNAL, "DecodeError: garbage")),
    ],
)
async def test_an_answer_that_fails_ends_the_call(
    service: Service, error: Exception, ending: tuple[Code, str]
) -> None:
    def parse(body: bytes) -> bytes:
        if body == b"broken" and isinstance(error, DecodeError):
            raise error
        return body

    def answer(message: bytes) -> bytes:
        if message == b"broken":
            raise error
        return message

    async def listen(_: Any, context: Any) -> None:
        context.answer_each(answer)
        await context.read()

    service.offers(listen, parse=parse)
    call = service.call()
    reading = asyncio.create_task(call.read())
    await service.others_are_served()
    await call.write(b"fine")
    assert await reading == b"fine"
    await call.write(b"broken")
    assert await refusal(call.read()) == ending
