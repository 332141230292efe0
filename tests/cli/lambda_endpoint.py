"""Another Lambda endpoint, as `sam local start-lambda` is one: a process that answers `Invoke` by
running a handler, whose SDK makes its checkpoints over HTTP.

    python lambda_endpoint.py [PORT]

It says its URL, and is then told, in a line, where to checkpoint.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import async_durable_execution as asynchronous
from aws_durable_execution_sdk_python import DurableContext
from aws_durable_execution_sdk_python import durable_execution as official_durable_execution
from aws_durable_execution_sdk_python.config import Duration


async def charge() -> str:
    return f"charged by {os.getpid()}"


@asynchronous.durable_execution
async def order(event: dict) -> dict:
    charged = await asynchronous.step(charge, name="charge")
    await asynchronous.wait(timedelta(seconds=1), name="cool off")
    return {"order": event["order"], "charged": charged}


@official_durable_execution
def official(event: dict, context: DurableContext) -> list:
    first = context.step(lambda _: event["order"], name="first")
    context.wait(Duration.from_seconds(1), name="cool off")
    return [first, context.invoke("order", {"order": 2}, name="other")["order"]]


def raises(event: dict, context: object) -> None:
    raise LookupError("no such order")


@asynchronous.durable_execution
async def dies_once(event: dict) -> list:
    """With the whole endpoint."""
    charged = await asynchronous.step(charge, name="charge")
    if not os.path.exists(event["marker"]):
        open(event["marker"], "w").close()
        os._exit(3)
    return [charged, os.getpid()]


def hangs_up(event: dict, context: object) -> None:
    raise ConnectionAbortedError


def says_nothing(event: dict, context: object) -> bytes:
    return b"no more"


HANDLERS = {
    "order": order,
    "official": official,
    "raises": raises,
    "dies_once": dies_once,
    "hangs_up": hangs_up,
    "says_nothing": says_nothing,
}


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        name = self.path.split("/")[3]
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if name not in HANDLERS:
            missing = {"Type": "User", "Message": f"Function not found: {name}"}
            self.answer(404, missing, {"x-amzn-ErrorType": "ResourceNotFoundException"})
            return
        try:
            handler: Any = HANDLERS[name]
            value = handler(event, SimpleNamespace(aws_request_id="1", tenant_id=None))
        except ConnectionAbortedError:
            self.close_connection = True
        except Exception as error:
            trace = traceback.format_tb(error.__traceback__)
            said = {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "stackTrace": trace,
            }
            self.answer(200, said, {"X-Amz-Function-Error": "Unhandled"})
        else:
            self.answer(200, value, {})

    def answer(self, status: int, value: object, headers: dict[str, str]) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(*sys.argv[1:])), Endpoint)
    print(f"listening at http://127.0.0.1:{server.server_port}", flush=True)
    os.environ["AWS_ENDPOINT_URL_LAMBDA"] = sys.stdin.readline().strip()
    server.serve_forever()
