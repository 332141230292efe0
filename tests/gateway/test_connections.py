"""Connections: kept, many, slow, gone, and those that ask for too much."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.clients import Client
from gateway.served import GET, Saying, connected, serving

POST = b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: "


async def test_a_connection_is_kept() -> None:
    async with serving() as gateway, connected(gateway.endpoint_url) as connection:
        for _ in range(3):
            status, headers, body = await connection.ask(GET)
            assert (status, body) == (200, {"Functions": []})
            assert "connection" not in headers


async def test_requests_that_are_sent_ahead_are_answered_in_order() -> None:
    async with serving() as gateway, connected(gateway.endpoint_url) as connection:
        connection.writer.write(GET + GET.replace(b"functions", b"nothing") + GET)
        assert [(await connection.answer())[0] for _ in range(3)] == [200, 404, 200]


async def test_an_idle_connection_is_closed() -> None:
    async with (
        serving(idle_seconds=0.01) as gateway,
        connected(gateway.endpoint_url) as connection,
    ):
        assert (await connection.ask(GET))[0] == 200
        assert await connection.ended()


@pytest.mark.parametrize("said", [b"", b"GET /2015", GET[:-2]])
async def test_a_head_that_does_not_come_ends_the_connection(said: bytes) -> None:
    async with (
        serving(header_seconds=0.01) as gateway,
        connected(gateway.endpoint_url) as connection,
    ):
        connection.writer.write(said)
        assert await connection.ended()


async def test_the_second_head_of_a_connection_is_waited_for_as_long() -> None:
    async with (
        serving(header_seconds=0.05) as gateway,
        connected(gateway.endpoint_url) as connection,
    ):
        assert (await connection.ask(GET))[0] == 200
        connection.writer.write(GET[:10])
        assert await connection.ended()


async def test_a_body_that_does_not_come_is_told_so() -> None:
    async with (
        serving(body_seconds=0.01) as gateway,
        connected(gateway.endpoint_url) as connection,
    ):
        status, headers, _ = await connection.ask(POST + b"10\r\n\r\nhalf")
        assert (status, headers["x-amzn-errortype"]) == (408, "RequestTimeoutException")
        assert headers["connection"] == "close"
        assert await connection.ended()


async def test_an_answer_that_nobody_reads_is_dropped() -> None:
    """Once the client has taken nothing for a while, so that it holds nothing here."""
    service = Saying({"Functions": [{"FunctionName": "x" * 30_000_000}]})
    async with (
        serving(service, idle_seconds=0.02) as gateway,
        connected(gateway.endpoint_url) as connection,
    ):
        connection.writer.transport.pause_reading()
        connection.writer.write(GET)
        await service.asked.wait()
        (kept,) = gateway._state.connections
        lost = asyncio.Event()
        kept.connection_lost = lambda _: lost.set()
        await lost.wait()


async def test_a_head_that_is_too_long_is_refused() -> None:
    async with (
        serving(header_bytes=1000) as gateway,
        connected(gateway.endpoint_url) as connection,
    ):
        connection.writer.write(GET[:-2] + b"X-Long: " + b"x" * 2000)
        assert (await connection.reader.readline()).startswith(b"HTTP/1.1 400 ")
        await connection.reader.read()


async def test_a_body_that_is_too_large_is_read_and_refused() -> None:
    async with (
        serving(body_bytes=1000, dropped_bytes=3_000_000) as gateway,
        connected(gateway.endpoint_url) as connection,
    ):
        for size in (1001, 200_000, 2_000_000):
            status, headers, body = await connection.ask(POST + b"%d\r\n\r\n" % size + b"x" * size)
            assert (status, headers["x-amzn-errortype"]) == (413, "RequestTooLargeException")
            assert body["message"] == f"Request must be smaller than 1000 bytes, was {size}."
            assert (await connection.ask(GET))[0] == 200


async def test_a_body_without_end_is_cut_off() -> None:
    async with (
        serving(body_bytes=1000, dropped_bytes=2000) as gateway,
        connected(gateway.endpoint_url) as connection,
    ):
        connection.writer.write(POST + b"99999999\r\n\r\n" + b"x" * 200_000)
        status, headers, _ = await connection.answer()
        assert (status, headers["connection"]) == (413, "close")
        assert await connection.ended()


async def test_what_nobody_waits_for_any_more_is_given_up() -> None:
    service = Saying()
    async with serving(service) as gateway:
        async with connected(gateway.endpoint_url) as connection:
            connection.writer.write(POST + b"0\r\n\r\n")
            await service.invoked.wait()
            assert not service.given_up.is_set()
        await service.given_up.wait()


async def test_closing_ends_every_connection() -> None:
    service = Saying()
    async with (
        serving(service) as gateway,
        connected(gateway.endpoint_url) as waiting,
        connected(gateway.endpoint_url) as idle,
    ):
        assert (await idle.ask(GET))[0] == 200
        waiting.writer.write(POST + b"0\r\n\r\n")
        await service.invoked.wait()
        gateway.close()
        assert await idle.ended()
        assert await waiting.ended()
        await service.given_up.wait()
        with pytest.raises(ConnectionError):
            async with connected(gateway.endpoint_url):
                pass


async def test_what_is_no_http_is_refused() -> None:
    async with serving() as gateway, connected(gateway.endpoint_url) as connection:
        connection.writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await connection.reader.readline()).startswith(b"HTTP/1.1 400 ")
        await connection.reader.read()


@pytest.mark.processes
async def test_a_hundred_connections_at_once(endpoint: str) -> None:
    """All open, all used in turn, and none in the way of another."""
    async with asyncio.TaskGroup() as tasks:
        everybody = asyncio.Barrier(100)

        async def ask() -> None:
            async with connected(endpoint) as connection:
                await everybody.wait()
                for _ in range(5):
                    assert (await connection.ask(GET))[0] == 200
                await everybody.wait()

        for _ in range(100):
            tasks.create_task(ask())


@pytest.mark.processes
def test_a_hundred_callers_wait_at_once(client: Client) -> None:
    def invoke(number: int) -> bytes:
        answer = client.invoke(FunctionName="order", Payload=b"%d" % number)
        return bytes(answer["Payload"].read())

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(invoke, range(100))) == [b"%d" % n for n in range(100)]
