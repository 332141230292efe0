"""The bare transport: one gRPC bidirectional stream between two processes, echoing bytes.

    python echo.py SIZE COUNT

Prints the median round trip, in seconds, of COUNT messages of SIZE bytes each way.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from async_durable_execution_runner.rpc import OPTIONS, set_up_grpc

set_up_grpc()
import grpc  # noqa: E402

_METHOD = "/benchmark.Echo/Echo"


async def _serve(address: str) -> None:
    async def echo(_: object, context) -> None:
        while (message := await context.read()) is not grpc.aio.EOF:
            await context.write(message)

    handler = grpc.stream_stream_rpc_method_handler(echo)
    service = grpc.method_handlers_generic_handler("benchmark.Echo", {"Echo": handler})
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(address)
    await server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.wait_for_termination()


def measure(size: int, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix:{Path(folder) / 'echo'}"
        command = [sys.executable, __file__, "serve", address]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            try:
                return asyncio.run(_measure(address, size, count))
            finally:
                server.kill()


async def _measure(address: str, size: int, count: int) -> float:
    payload = bytes(size)
    samples = []
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stream = channel.stream_stream(_METHOD)()
        for _ in range(count):
            began = time.perf_counter()
            await stream.write(payload)
            await stream.read()
            samples.append(time.perf_counter() - began)
        stream.cancel()
    return statistics.median(samples)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(_serve(sys.argv[2]))
    else:
        print(measure(int(sys.argv[1]), int(sys.argv[2])))
