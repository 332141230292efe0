"""The coordinator's process: it listens, says so, and serves until its parent goes away.

The first line of its standard input is the token and the address to listen on. The exit code is 0
when the process was asked to end, and 2 when it could not start.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

import grpc
import uvloop

from .. import log
from ..errors import InvalidConfiguration
from ..rpc import OPTIONS, TOKEN_VARIABLE, is_local
from ..rpc.bounds import DECODERS
from ..rpc.v1.control_pb2_grpc import add_ControlServiceServicer_to_server
from ..rpc.v1.worker_pb2_grpc import add_WorkerServiceServicer_to_server
from ..security import secrecy
from ..security.credentials import Credentials
from .control_service import ControlService
from .executor import Executor
from .worker_service import WorkerService

_logger = logging.getLogger(__name__)


class _Gate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """An interceptor that refuses every call to which the caller has no right, and has what workers
    send decoded within its bounds."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        # The handler is that of a stream for every call, so that a refusal does not wait for what
        # the caller sends.
        self._refusal = grpc.stream_stream_rpc_method_handler(self._refuse)

    @staticmethod
    async def _refuse(_: Any, context: Any) -> None:
        await context.abort(
            grpc.StatusCode.UNAUTHENTICATED,
            f"The token is missing or wrong: set {TOKEN_VARIABLE} to the coordinator's token.",
        )

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        if self._credentials.admit(details.method, details.invocation_metadata):
            handler = await continuation(details)
            decoder = DECODERS.get(details.method)
            return handler if decoder is None else handler._replace(request_deserializer=decoder)
        given = dict(details.invocation_metadata).get("authorization")
        why = "a wrong token" if given else "no token"
        _logger.info("%s refused, UNAUTHENTICATED: it came with %s", details.method, why)
        return self._refusal


async def serve(listen: str, token: str, ready: Callable[[str], None]) -> None:
    """Serve until standard input ends, or until SIGTERM or SIGINT.

    Args:
        listen: "unix:PATH" or "HOST:PORT"; port 0 for any free port.
        token: What every call has to bring, except those of workers.
        ready: Called with the address once the server listens.

    Raises:
        OSError: The address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    coordinator_id = uuid.uuid4().hex

    def new_id() -> str:
        return str(uuid.uuid4())

    executor = Executor(new_id, lambda: secrets.token_hex(8))
    credentials = Credentials(token)
    server = grpc.aio.server(interceptors=[_Gate(credentials)], options=OPTIONS)
    control = ControlService(executor, coordinator_id, new_id)
    add_ControlServiceServicer_to_server(control, server)
    workers = WorkerService(executor, coordinator_id, credentials)
    add_WorkerServiceServicer_to_server(workers, server)
    ended = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    def parent_spoke() -> None:
        if not os.read(0, 4096):
            end()

    loop.add_reader(0, parent_spoke)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    # The parent may be killed at any moment, so that it leaves the folder to be made here.
    folder = Path(listen.removeprefix("unix:")).parent
    made = listen.startswith("unix:") and not folder.exists()
    if made:
        folder.mkdir(0o700)
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError:
        if made:
            folder.rmdir()
        why = "the address is in use, or may not be used; GRPC_VERBOSITY=debug shows which"
        raise OSError(why) from None
    await server.start()
    # All objects that there are now stay. Histories grow and have no cycles, so the garbage
    # collector need not run often.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
    ready(listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}")
    await ended


def _leave(listen: str) -> NoReturn:
    """End the process at once. A shutdown would first tell callers of everything that it takes
    down, but callers have to learn that the coordinator is gone."""
    if listen.startswith("unix:"):
        path = Path(listen.removeprefix("unix:"))
        with contextlib.suppress(OSError):
            path.unlink()
            path.parent.rmdir()
    logging.shutdown()
    os._exit(0)


def main() -> None:
    secrecy.shield()
    token, listen = secrecy.read(0)
    if not token:
        sys.exit(_failed("No token came on standard input."))
    try:
        log.set_up(log.take())
    except InvalidConfiguration as error:
        sys.exit(_failed(str(error)))

    def ready(address: str) -> None:
        # The parent may be gone by now; then standard input has ended, or is about to.
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(f"ready {address}\n")
            sys.stdout.flush()

    async def serve_and_leave() -> NoReturn:
        await serve(listen, token, ready)
        _leave(listen)

    if not is_local(listen):
        sys.exit(
            _failed(
                f"{listen} is not a loopback address; without TLS, which is not "
                "supported yet, the coordinator listens on this machine only."
            )
        )
    try:
        uvloop.run(serve_and_leave())
    except OSError as error:
        sys.exit(_failed(f"Cannot listen on {listen}: {error}"))


def _failed(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return 2
