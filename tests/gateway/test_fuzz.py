"""Whatever is in a request's head, the answer is one by the service's rules."""

from __future__ import annotations

import random
from typing import Any

import pytest

from async_durable_execution_runner.gateway.app import Gateway, Limits
from async_durable_execution_runner.gateway.hosts import Hosts
from async_durable_execution_runner.gateway.signatures import Keyring
from gateway.test_signatures import KEYS, TARGET, signed

PATHS = (
    TARGET,
    "/2015-03-31/functions/order/invocations?Qualifier=%24LATEST",
    "/2025-12-01/functions/order/durable-executions?Statuses=RUNNING&StartedAfter=2026-01-01&MaxItems=5",
    "/2025-12-01/durable-execution-callbacks/YQ%3D%3D/succeed",
    "/2025-12-01/durable-executions/arn%3Aaws%2Fx/checkpoint",
)
HEADERS = {
    "host": "127.0.0.1:1",
    "origin": "http://127.0.0.1:1",
    "sec-fetch-site": "none",
    "content-type": "application/json",
    "x-amz-invocation-type": "Event",
    "x-amz-log-type": "Tail",
    "x-amz-client-context": "e30=",
    "x-amz-durable-execution-name": "a-name",
    "x-amz-tenant-id": "acme",
}
PIECES = (
    *(
        "",
        " ",
        "[",
        "]",
        "[]",
        "%",
        "%00",
        "%ff",
        "%ud800",
        "=",
        "==",
        ";",
        ",",
        "/",
        "//",
        "#",
        "?",
    ),
    *(
        "\x80",
        "\xff",
        "\t",
        "9" * 30,
        "-1",
        "1e999",
        "nan",
        "null",
        "a" * 300,
        "é",
        "\\",
        '"',
        "{}",
    ),
    *("Mon, 01 Jan 0001 00:00:00 +9999", "0001-01-01", "9999-12-31T23:59:59-23:59", "+00:00"),
)


def mutated(text: str, chance: random.Random) -> str:
    """A text with a piece put in, put in the place of another, or taken out."""
    start = chance.randint(0, len(text))
    end = min(len(text), start + chance.choice((0, 0, 1, 3, 99)))
    return text[:start] + chance.choice(PIECES) + text[end:]


class Answering:
    """The responder of every operation."""

    def __contains__(self, name: str) -> bool:
        return True

    def get(self, name: str) -> Any:
        async def respond(given: dict[str, Any]) -> dict[str, Any]:
            return {}

        return respond


async def status_of(gateway: Gateway, method: str, target: str, headers: dict[str, str]) -> int:
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"a": 1}'}

    async def send(message: Any) -> None:
        sent.append(message)

    await gateway(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize("keys", [{}, KEYS], ids=["open", "signed"])
async def test_no_head_ends_in_a_failure(keys: dict[str, str]) -> None:
    chance = random.Random(13)
    gateway = Gateway(Answering(), Keyring(keys), None if keys else Hosts(()), Limits())  # type: ignore[arg-type]
    good = HEADERS | (signed() if keys else {})
    seen = set()
    for _ in range(1500):
        headers = dict(good)
        for name in chance.sample(sorted(headers), chance.randint(0, 3)):
            headers[name] = mutated(headers[name], chance)
        target = chance.choice(PATHS)
        if chance.random() < 0.5:
            target = mutated(target, chance)
        status = await status_of(gateway, chance.choice(("GET", "POST")), target, headers)
        assert status < 500, (target, headers)
        seen.add(status)
    assert seen >= ({403} if keys else {200, 400, 403, 404})
