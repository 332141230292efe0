"""Whoever does not speak to a coordinator as it should disturbs nobody, and leaves nothing.

After each test the fixture `served` sees that others are served and that no socket is left.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import grpc
import pytest

from async_durable_execution_runner import errors
from async_durable_execution_runner.client.transport import (
    BlockingTransport,
    Transport,
    channel_at,
)
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.rpc.v1.worker_pb2_grpc import WorkerServiceStub
from async_durable_execution_runner.worker.connection import Connection
from async_durable_execution_runner.worker.sdk.async_models import CheckpointError
from async_durable_execution_runner.worker.sdk.service_client import GrpcServiceClient
from async_durable_execution_runner.worker.session import Session

from .served import LIMIT, TOKEN, Served, client, connect, open_workspace

pytestmark = [pytest.mark.processes, pytest.mark.timeout(40)]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
#: A frame that announces a header block of 64 bytes.
HEADERS = b"\0\0\x40\1\4\0\0\0\1"

WRONG = {
    "garbage": b"\xff" * 40,
    "zeros": bytes(10_000),
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "garbage after the preface": PREFACE + b"\xff" * 40,
    "a frame of 16 MiB": PREFACE + SETTINGS + b"\xff\xff\xff\0\0\0\0\0\1",
}
UNFINISHED = {
    "nothing": b"",
    "half a preface": PREFACE[:10],
    "a preface": PREFACE,
    "half a frame": PREFACE + SETTINGS[:4],
    "half a message": PREFACE + SETTINGS + HEADERS + b"half",
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG)
async def test_who_speaks_something_else_is_hung_up_on(served: Served, said: bytes) -> None:
    with connect(served.address) as stranger:
        stranger.sendall(said)
        # A reset where it has not read all of it.
        with suppress(ConnectionResetError):
            while stranger.recv(4096):
                pass
        served.serves_others()


@pytest.mark.parametrize("said", UNFINISHED.values(), ids=UNFINISHED)
async def test_who_does_not_finish_may_stay_and_disturbs_nobody(
    served: Served, said: bytes
) -> None:
    with connect(served.address) as stranger:
        stranger.sendall(said)
        served.serves_others()
        # The coordinator's own first frame: it has seen the stranger.
        assert stranger.recv(9)[3:4] == SETTINGS[3:4]


async def test_hundreds_who_say_nothing(served: Served) -> None:
    with ExitStack() as strangers:
        for _ in range(300):
            strangers.enter_context(connect(served.address))
        served.serves_others()


async def test_hundreds_who_come_and_go(served: Served) -> None:
    for number in range(300):
        with connect(served.address) as stranger:
            stranger.sendall((b"\xff" * 40, b"")[number % 2])


async def test_a_wrong_token_is_refused_whatever_is_asked(shared: Served) -> None:
    # Not `served`, as below: these streams are refused while they speak.
    served = shared
    channel = channel_at(served.address)
    text = "The token is missing or wrong: set DURABLE_RUNNER_TOKEN to the coordinator's token."
    connection = Connection(served.address, "wrong", "w")
    with pytest.raises(errors.Unauthenticated) as refused:
        open_workspace(channel, "wrong")
    assert str(refused.value) == text
    with pytest.raises(errors.Unauthenticated) as refused:
        await client(BlockingTransport(channel, "wrong")).status()
    assert str(refused.value) == text
    # The refusal may come before the request or while that is on its way.
    with ThreadPoolExecutor(1) as thread:
        for _ in range(30):
            with pytest.raises(CheckpointError, match=text):
                thread.submit(check_in, connection).result()
    channel.close()


def check_in(connection: Connection) -> None:
    loop, service = asyncio.new_event_loop(), GrpcServiceClient(connection)
    try:
        loop.run_until_complete(service.checkpoint("arn", "token", [], None))
    finally:
        service.close()


def run_session(session: Session) -> errors.RunnerError:
    """Why a session ended that was not let in. It has a loop and a thread of its own."""
    refusals = []

    def run() -> None:
        try:
            session.run(lambda _: pb.InvocationResult())
        except errors.RunnerError as refusal:
            refusals.append(refusal)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(LIMIT)
    [refusal] = refusals
    return refusal


async def test_a_session_without_the_token_is_refused(shared: Served) -> None:
    # Not `served`: gRPC may keep the connection of a stream that was refused while it spoke
    # until the loop that it belonged to, which is closed, is no more.
    session = Session(Connection(shared.address, "wrong", "w"), "w", "workspace")
    assert isinstance(run_session(session), errors.Unauthenticated)


@pytest.mark.parametrize("length", [9_000, 100_000, 2**20])
async def test_a_worker_of_an_overlong_name_is_refused(served: Served, length: int) -> None:
    session = Session(Connection(served.address, TOKEN), "w" * length)
    assert str(run_session(session)).startswith("No worker named 'www")
    # It is closed, not left to whoever takes the session away.
    assert session._channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN


@pytest.mark.parametrize("length", [100_000, 2**20])
async def test_an_overlong_token_is_refused(served: Served, length: int) -> None:
    """With what gRPC says of it: our own refusal never sees it."""
    with grpc.insecure_channel(served.address) as channel:
        refused = client(BlockingTransport(channel, "x" * length))
        with pytest.raises(errors.RunnerError, match="metadata size"):
            await refused.status()


async def test_an_overlong_method_is_refused(served: Served, transport: Transport) -> None:
    with grpc.insecure_channel(served.address) as channel:
        for length in (1000, 2**20):
            call = channel.unary_unary("/" + "x" * length)
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=LIMIT, metadata=(("authorization", f"Bearer {TOKEN}"),))
            assert refused.value.code() in (
                grpc.StatusCode.UNIMPLEMENTED,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
            )
    await client(transport).status()


@pytest.mark.parametrize("letter", ["x", "é", "\n"])
async def test_a_refused_effect_of_an_overlong_name(served: Served, letter: str) -> None:
    channel = channel_at(served.address)
    request = pb.RecordEffectRequest(request_id=letter * 100_000, name="charge", data="{}")
    with pytest.raises(grpc.RpcError) as refused:
        WorkerServiceStub(channel).RecordEffect(
            request, timeout=LIMIT, metadata=Connection("", TOKEN).metadata
        )
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert refused.value.details().startswith(f"Invocation not found: {letter}")
    channel.close()
