"""No request holds up the others: the largest and the most nested input of every operation."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from coordinator.conftest import world as world
from coordinator.world import Script, World

from async_durable_execution_runner.coordinator.lambda_service import listen, operations
from async_durable_execution_runner.gateway.model import API
from gateway.matrix import SERVED

MIB = 1024 * 1024
#: Numbers that are added, and the seconds of processor time that this takes.
YARDSTICK, YARDSTICK_SECONDS = 250_000, 0.005
#: The seconds of processor time for which the loop may be held.
HELD = 0.05
#: How often a request may hold the loop longer, as processor time, too, depends on what else runs.
ATTEMPTS = 3
ARN = "<arn>"
#: A token of an invocation that waits, put into the bodies that need it.
TOKEN = "<token>"


def filled(piece: str, size: int = 7 * MIB) -> str:
    """A list of so many bytes."""
    return f"[{','.join([piece] * (size // (len(piece) + 1)))}]"


def member(name: str, value: str) -> str:
    return f'{{"CheckpointToken":"{TOKEN}","{name}":{value}}}'


STEP = '{"Id":"a%d","Type":"STEP","Action":"SUCCEED","Payload":"%s"}'

#: Bodies, by what is in them.
BODIES = {
    "empty updates": member("Updates", filled("{}")),
    "too many updates": member("Updates", filled(STEP % (1, ""), 300_000)),
    "large updates": member(
        "Updates", f"[{','.join(STEP % (number, 'x' * 12000) for number in range(500))}]"
    ),
    "lists in lists": "[" * 7 * MIB,
    "structures in structures": '{"a":' * MIB,
    "one long text": member("ClientToken", '"' + "a" * 7 * MIB + '"'),
    "one escaped text": member("ErrorMessage", '"' + ',\\"' * 2 * MIB + '"'),
    "one text with some escapes": member(
        "ErrorMessage", '"' + ',\\"' * 999_000 + "x" * 4 * MIB + '"'
    ),
    "many lines": member("StackTrace", filled('""')),
    "some lines": member("StackTrace", filled('"' + "x" * 300 + '"', 19_000 * 303)),
    "numbers": member("Unknown", filled("1")),
    "long numbers": member("Unknown", filled("9" * 4000)),
}
#: The bodies that are meant for an error.
ERRORS = ("one text with some escapes", "many lines", "some lines")
#: Payloads that `Invoke` and the success of a callback take as they are.
PAYLOADS = {
    "lists": filled("[]", 5 * MIB),
    "lists of lists": filled("[[0]]", 5 * MIB),
    "records": filled('{"id":1,"name":"one"}', 5 * MIB),
    "numbers": filled("1.5", 5 * MIB),
    "one text": '"' + ',\\"' * MIB + '"',
    "nested": "[" * 5 * MIB,
}
LABELS = {"{DurableExecutionArn}": ARN, "{FunctionName}": "order", "{CallbackId}": "YQ%3D%3D"}
COMMON = "Host: localhost\r\nConnection: close\r\nX-Amz-Invocation-Type: DryRun\r\n"
HEADS = {
    "many headers": ("", "a:\r\n" * 8_000),
    "a long header": ("", f"X-Amz-Client-Context: {'a' * 30_000}\r\n"),
    "many fields": ("a&" * 15_000, ""),
    "many statuses": ("Statuses=X&" * 2_500, ""),
    "a long marker": (f"Marker={'a' * 30_000}", ""),
}


def requests() -> Iterator[tuple[str, str, str]]:
    """The name, the head and the body of every request, with placeholders."""
    for name in SERVED:
        operation = API.model.operation_model(name)
        path = operation.http["requestUri"].partition("?")[0]
        for label, value in LABELS.items():
            path = path.replace(label, value)
        begun = f"{operation.http['method']} {path}"
        for what, (query, headers) in HEADS.items():
            yield f"{name}: {what}", f"{begun}?{query} HTTP/1.1\r\n{COMMON}{headers}", ""
        payload = operation.input_shape.serialization.get("payload")
        bodies: dict[str, str] = {}
        if payload in ("Payload", "Result"):
            bodies = PAYLOADS
        elif name == "CheckpointDurableExecution":
            bodies = BODIES
        elif operation.http["method"] != "GET":
            bodies = {what: BODIES[what] for what in ERRORS}
        for what, body in bodies.items():
            yield f"{name}: {what}", f"{begun} HTTP/1.1\r\n{COMMON}", body
    # Each byte is a piece of its own.
    chunks = "1\r\n1\r\n" * 30_000 + "0\r\n\r\n"
    head = f"POST / HTTP/1.1\r\n{COMMON}Transfer-Encoding: chunked\r\n\r\n"
    yield "a body in many pieces", head + chunks, ""


def written(head: str, body: str, script: Script) -> bytes:
    """A request, for the invocation of a script."""
    head = head.replace(ARN, quote(script.arn, safe=""))
    body = body.replace(TOKEN, script.token)
    length = "" if "chunked" in head else f"Content-Length: {len(body)}\r\n\r\n"
    return f"{head}{length}{body}".encode()


def ask(port: int, request: bytes) -> bytes:
    """The first line of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(MIB):
            answer = answer or piece
    return answer.partition(b"\r\n")[0]


class Longest:
    """The longest processor time that the loop's thread takes for one round of the loop."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def beat(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.seconds = max(self.seconds, now - before)
            before = now


@contextmanager
def watched() -> Iterator[Longest]:
    longest = Longest()
    beating = asyncio.ensure_future(longest.beat())
    try:
        yield longest
    finally:
        beating.cancel()


def slowness() -> float:
    """How many times as long as usual Python's code takes now; 1 if it takes less."""
    before = time.thread_time()
    sum(range(YARDSTICK))
    return max(1.0, (time.thread_time() - before) / YARDSTICK_SECONDS)


@pytest.mark.timeout(60)
async def test_no_request_holds_the_loop(world: World) -> None:
    async def order(script: Script) -> str:
        await asyncio.get_running_loop().create_future()
        return ""

    workspace = world.workspace(workers=100)
    world.function(workspace, order)
    world.host(slots=100)
    script = await world.invoked(world.start(workspace))
    served = operations(world.executor, workspace, lambda: "name", True, None)
    listener = await listen(served, "127.0.0.1", 0, {})
    port = int(listener.endpoint_url.rpartition(":")[2])
    held = {}
    for what, head, body in requests():
        allowed = HELD * slowness()
        for _ in range(ATTEMPTS):
            request = written(head, body, script)
            with watched() as longest:
                answer = await asyncio.to_thread(ask, port, request)
            assert answer.split()[1] < b"500", (what, answer)
            held[what] = longest.seconds
            if longest.seconds < max(allowed, HELD * slowness()):
                del held[what]
                break
            script = await world.invoked(world.start(workspace))
    listener.close()
    world.executor.close_workspace(workspace)
    assert held == {}
