"""What a server of frames hears from whoever does not speak as it should."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from typing import Any

import grpc
import grpc.aio
import pytest

from async_durable_execution_runner.rpc.v1 import frames_pb2 as pb

from .frame_service import (
    ENDING,
    MESSAGE,
    OPENING,
    Code,
    Service,
    echo,
    frame,
    opening,
)


async def _said(service: Service, data: bytes) -> pb.Ending | None:
    """How the server ends a connection on which only `data` was said; None: without a word."""
    reader, writer = await service.socket()
    writer.write(data)
    answer = await reader.read()
    writer.close()
    if not answer:
        return None
    kind, size = struct.unpack_from(">BI", answer)
    assert (kind, size) == (ENDING, len(answer) - 5)
    return pb.Ending.FromString(answer[5:])


@pytest.mark.parametrize("first", [frame(MESSAGE, b"x"), frame(ENDING, b""), frame(77, b"")])
async def test_a_connection_begins_with_an_opening(service: Service, first: bytes) -> None:
    service.offers(echo)
    ending = await _said(service, first)
    assert ending == pb.Ending(
        code=Code.INVALID_ARGUMENT.value[0], details="Expected an opening first."
    )


async def test_a_call_of_one_request_needs_one(service: Service) -> None:
    async def once(request: bytes, _: Any) -> bytes:
        return request

    unary = grpc.unary_unary_rpc_method_handler(once, bytes, bytes)
    service.server.add_registered_method_handlers("test.Service", {"Talk": unary})
    ending = await _said(service, opening() + frame(ENDING, b""))
    assert ending == pb.Ending(code=Code.INVALID_ARGUMENT.value[0], details="Expected a request.")


async def test_an_opening_that_is_none_is_refused(service: Service) -> None:
    ending = await _said(service, frame(OPENING, b"\xff" * 40))
    assert ending is not None
    assert ending.code == Code.INTERNAL.value[0]
    assert "DecodeError" in ending.details


@pytest.mark.parametrize(
    "said", [b"PRI * HTTP/2.0\r\n\r\n", struct.pack(">BI", OPENING, 2**16 + 1)]
)
async def test_a_stranger_is_not_listened_to_for_long(service: Service, said: bytes) -> None:
    """Whoever announces more than an opening needs could fill the memory without a token."""
    assert await _said(service, said) is None


async def test_hundreds_may_come_while_the_server_is_busy(service: Service) -> None:
    with ExitStack() as sockets:
        for _ in range(200):
            each = sockets.enter_context(socket.socket(socket.AF_UNIX))
            each.setblocking(False)
            each.connect(service.path)


async def test_a_connection_that_says_nothing_harms_nobody(service: Service) -> None:
    _, writer = await service.socket()
    await service.others_are_served()
    writer.close()
