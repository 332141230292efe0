"""Who is served without a signature: programs of this machine, and no web page."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from async_durable_execution_runner.cli.main import main
from async_durable_execution_runner.errors import InvalidParameterValue
from async_durable_execution_runner.gateway.hosts import Hosts
from async_durable_execution_runner.gateway.server import listen
from gateway.served import connected, serving

ALLOWED = ("box.internal", "10.1.2.3", "FD00::1")


async def ask(endpoint: str, *headers: str) -> tuple[int, str, str]:
    """Status, code and message of the answer to a request with these headers."""
    head = ["GET /2015-03-31/functions HTTP/1.1", *headers, "", ""]
    async with connected(endpoint) as connection:
        status, answered, body = await connection.ask("\r\n".join(head).encode("latin-1"))
        return status, answered.get("x-amzn-errortype", ""), body.get("message", "")


@pytest.mark.parametrize(
    "headers",
    [
        *(["Host: 127.0.0.1:{port}"], ["Host: localhost"], ["Host: LocalHost.:1"]),
        *(["Host: [::1]:{port}"], ["Host: 127.1.2.3"], ["Host: orders.localhost:{port}"]),
        *(["Host: box.internal:9001"], ["Host: 10.1.2.3"], ["Host: [fd00::1]:80"]),
        ["Host: 127.0.0.1:{port}", "Origin: http://127.0.0.1:{port}"],
        ["Host: localhost", "Origin: http://box.internal:8080", "Sec-Fetch-Site: cross-site"],
        ["Host: localhost", "Origin: https://BOX.internal", "Sec-Fetch-Site: cross-site"],
        *(["Host: localhost", f"Sec-Fetch-Site: {site}"] for site in ("none", "same-origin")),
    ],
)
async def test_what_is_served(headers: list[str]) -> None:
    async with serving(allow_hosts=ALLOWED) as gateway:
        port = gateway.endpoint_url.rpartition(":")[2]
        given = [each.format(port=port) for each in headers]
        assert await ask(gateway.endpoint_url, *given) == (200, "", "")


@pytest.mark.parametrize(
    "host",
    [
        *("rebind.evil.example", "rebind.evil.example:80", "localhost.evil.example", "10.1.2.4"),
        *("", "[", "[::1", "[::2]", "::1", "127.0.0.1.evil.example", "a@127.0.0.1", "\x9b"),
        *("localhost:x", "evillocalhost", "0.0.0.0", "box.internal.evil.example"),
    ],
)
async def test_a_request_for_another_host_is_refused(host: str) -> None:
    async with serving(allow_hosts=ALLOWED) as gateway:
        status, code, message = await ask(gateway.endpoint_url, f"Host: {host}")
        assert (status, code) == (403, "AccessDeniedException")
        assert message.startswith(f"Requests for the host {host!r} are refused: ask for 127.0.0.1")
        assert "--allow-host" in message


@pytest.mark.parametrize(
    "headers",
    [
        *(["Origin: https://evil.example"], ["Origin: null"], ["Origin: "], ["Origin: file://"]),
        *(["Origin: http://localhost:1"], ["Origin: http://10.1.2.4"], ["Origin: http://[fd00::1"]),
        *(["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"], ["Sec-Fetch-Site: ?"]),
        ["Origin: http://localhost", "Sec-Fetch-Site: cross-site"],
        ["Origin: http://box.internal.evil.example"],
    ],
)
async def test_a_page_of_another_site_is_refused(headers: list[str]) -> None:
    async with serving(allow_hosts=ALLOWED) as gateway:
        status, code, message = await ask(gateway.endpoint_url, "Host: localhost", *headers)
        assert (status, code) == (403, "AccessDeniedException")
        assert message.startswith("Requests by a web page of another site are refused")
        assert "--allow-host" in message


async def test_a_long_host_is_cut() -> None:
    async with serving() as gateway:
        _, _, message = await ask(gateway.endpoint_url, f"Host: {'x' * 10_000}")
        assert len(message) < 500


async def test_a_request_without_a_host_is_refused() -> None:
    async with serving() as gateway, connected(gateway.endpoint_url) as connection:
        assert (await connection.ask(b"GET /2015-03-31/functions HTTP/1.0\r\n\r\n"))[0] == 403


async def test_where_requests_must_be_signed_the_host_does_not_matter() -> None:
    listener = await listen({}, "127.0.0.1", 0, {"AKID": "secret"})
    _, code, _ = await ask(listener.endpoint_url, "Host: evil.example", "Origin: null")
    listener.close()
    assert code == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("host", ["", "http://x", "x:80", "x/y", "[::1]:80", "*", "a b"])
def test_what_is_not_a_host_cannot_be_allowed(host: str) -> None:
    with pytest.raises(InvalidParameterValue, match="cannot be allowed: give a host's name"):
        Hosts([host])


@pytest.mark.processes
def test_serve_says_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    function = "order=gateway.handlers:order"
    assert main(["serve", "--function", function, "--allow-host", "http://x"]) == 1
    assert "'http://x' cannot be allowed" in capsys.readouterr().err


# -- a real browser --------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

#: Does to every gateway what a page can, and says when all of it has been answered.
PAGE = """<!doctype html><body><script>
const headers = {"Content-Type": "text/plain"};
const post = {method: "POST", mode: "no-cors", body: "[7]", headers};
const loaded = frame => new Promise(done => { frame.onload = done; document.body.append(frame); });
function framed(set) {
  const frame = document.createElement("iframe");
  Object.assign(frame, set);
  return loaded(frame);
}
async function submitted(url, name) {
  await framed({name});
  const form = document.createElement("form");
  Object.assign(form, {action: url, method: "post", enctype: "text/plain", target: name});
  document.body.append(form);
  const answered = new Promise(done => { document.getElementsByName(name)[0].onload = done; });
  form.submit();
  await answered;
}
async function all(gateway) {
  const at = "http://127.0.0.1:" + gateway + "/2015-03-31/functions";
  await fetch(at + "/fetched/invocations", post);
  await submitted(at + "/submitted/invocations", "frame" + gateway);
  await fetch(at + "/simple/invocations", {...post, mode: "cors"}).catch(() => 0);
  await fetch(at, {mode: "no-cors"});
  await framed({src: "http://rebind.evil.example:" + gateway + "/2015-03-31/functions"});
  const sandboxed = new Promise(done => { window.onmessage = done; });
  const script = "fetch('" + at + "/sandboxed/invocations', " + JSON.stringify(post) + ")" +
    ".finally(() => parent.postMessage(1, '*'))";
  framed({sandbox: "allow-scripts", srcdoc: "<script>" + script + "<" + "/script>"});
  await sandboxed;
}
(async () => { for (const each of GATEWAYS) await all(each); })().finally(() => fetch("/done"));
</script>"""


class Asked:
    """A service that notes which functions it is to invoke, and whether it is to list them."""

    def __init__(self) -> None:
        self.what: set[str] = set()

    async def invoke(self, given: dict[str, Any]) -> dict[str, Any]:
        self.what.add(given["FunctionName"])
        return {"StatusCode": 200, "Payload": b"1"}

    async def list_functions(self, given: dict[str, Any]) -> dict[str, Any]:
        self.what.add("listed")
        return {"Functions": []}

    @asynccontextmanager
    async def served(self, *allow_hosts: str) -> AsyncIterator[int]:
        operations = {"Invoke": self.invoke, "ListFunctions": self.list_functions}
        listener = await listen(operations, "127.0.0.1", 0, {}, allow_hosts)
        yield int(listener.endpoint_url.rpartition(":")[2])
        listener.close()


@asynccontextmanager
async def page(gateways: list[int]) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """The port of a server of `PAGE`, and whether the page has been through with it."""
    done = asyncio.Event()
    body = PAGE.replace("GATEWAYS", json.dumps(gateways)).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A browser also opens connections that it never uses.
        request = await reader.readline()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
        writer.write(head + (body if request.startswith(b"GET / ") else b""))
        if request.startswith(b"GET /done "):
            done.set()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], done


@asynccontextmanager
async def browsing(url: str, profile: Path) -> AsyncIterator[None]:
    """Chromium with a page open, to which every name is one of this machine."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *("--headless", "--no-sandbox", "--no-first-run", "--no-proxy-server", "--disable-gpu"),
        *("--host-resolver-rules=MAP * 127.0.0.1", f"--user-data-dir={profile}", url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.mark.processes
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
async def test_a_page_in_a_browser_reaches_nothing(tmp_path: Path) -> None:
    guarded, allowing = Asked(), Asked()
    async with (
        guarded.served() as refuses,
        allowing.served("evil.example") as takes,
        page([refuses, takes]) as (port, done),
        browsing(f"http://evil.example:{port}/", tmp_path),
    ):
        await done.wait()
    assert guarded.what == set()
    # What the page of an allowed host does arrives, so it does try. Its frames of nowhere and the
    # name that is resolved anew are not of that host.
    assert allowing.what == {"fetched", "submitted", "simple"}
