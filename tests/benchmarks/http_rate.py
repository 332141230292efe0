"""How many requests a second the gateway answers, over connections that are kept."""

from __future__ import annotations

import asyncio
import statistics
import time

import handlers

from async_durable_execution_runner import DurableFunctionTestRunner

_CONNECTIONS = 8


def measure(requests: int, times: int) -> float:
    """`GetDurableExecution` requests per second, the median of `times` times `requests`."""
    with DurableFunctionTestRunner(handler=handlers.steps, workers=1) as runner:
        arn = runner.run(input={"steps": 3}).execution_arn
        endpoint = runner.serve_aws_api()
        asyncio.run(_ask(endpoint, arn, 100))
        rates = []
        for _ in range(times):
            began = time.perf_counter()
            asyncio.run(_ask(endpoint, arn, requests // _CONNECTIONS))
            rates.append(requests / (time.perf_counter() - began))
        return statistics.median(rates)


async def _ask(endpoint: str, arn: str, times: int) -> None:
    host, _, port = endpoint.removeprefix("http://").rpartition(":")
    path = arn.replace(":", "%3A").replace("/", "%2F").replace("$", "%24")
    request = (
        f"GET /2025-12-01/durable-executions/{path} HTTP/1.1\r\nHost: {host}\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: Boto3/1.43 md/Botocore#1.43\r\n"
        "X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=x\r\n\r\n"
    ).encode()

    async def one() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(times):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(length)
        writer.close()

    await asyncio.gather(*(one() for _ in range(_CONNECTIONS)))
