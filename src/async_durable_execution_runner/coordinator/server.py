"""The coordinator's process: it listens, says so, and serves until it is asked to end.

Without options it belongs to the process that started it: the first line of its standard input is
the token and the address to listen on, and it ends with that input. With `--listen` it stands by
itself, for runners and worker hosts that come and go. The exit code is 0 when the process was asked
to end, and 2 when it could not start.
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
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import grpc
import uvloop

from .. import log
from ..errors import InvalidConfiguration
from ..rpc import OPTIONS, is_local, listen
from ..rpc.health import Health, answer_probes
from ..rpc.v1.control_pb2_grpc import add_ControlServiceServicer_to_server
from ..rpc.v1.debug_pb2_grpc import add_DebugServiceServicer_to_server
from ..rpc.v1.worker_pb2_grpc import add_WorkerServiceServicer_to_server
from ..security import secrecy
from ..security.credentials import Credentials, TokenFile, fixed
from ..security.tls import ServerTls
from .control_service import ControlService
from .debug_service import DebugService
from .executor import Executor
from .gate import Gate
from .worker_service import WorkerService

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a coordinator listens, and who is let in."""

    #: "unix:PATH" or "HOST:PORT"; port 0 stands for any free port.
    address: str
    credentials: Credentials
    #: None for plaintext.
    tls: ServerTls | None = None
    #: Where workers call if callers at `address` have to show a certificate: workers have none.
    workers_address: str = ""
    #: Where probes are answered in plaintext, beside the other addresses.
    health_address: str = ""
    #: Where Prometheus gets figures.
    metrics_address: str = ""


async def serve(
    doors: Doors, ready: Callable[[str, str, list[str]], None], *, lifeline: bool
) -> None:
    """Serve until SIGTERM or SIGINT, or until the lifeline ends.

    Args:
        doors: Where to listen.
        ready: Called with the address, that for workers, and sentences on others, once the server
            listens.
        lifeline: Whether the end of standard input ends this.

    Raises:
        OSError: An address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    coordinator_id = uuid.uuid4().hex

    def new_id() -> str:
        return str(uuid.uuid4())

    executor = Executor(new_id, lambda: secrets.token_hex(8))
    executor.pool.starts_ahead = not lifeline
    certificates = doors.tls is not None and doors.tls.demands_certificates
    gate = Gate(doors.credentials, certificates=certificates)
    server = grpc.aio.server(interceptors=[gate], options=OPTIONS)
    control = ControlService(executor, coordinator_id, new_id)
    add_ControlServiceServicer_to_server(control, server)
    workers = WorkerService(executor, coordinator_id, doors.credentials)
    add_WorkerServiceServicer_to_server(workers, server)
    add_DebugServiceServicer_to_server(DebugService(executor, doors.credentials), server)
    ended = loop.create_future()

    def serves() -> bool:
        return not ended.done()

    server.add_generic_rpc_handlers((Health(serves),))

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    def parent_spoke() -> None:
        if not os.read(0, 4096):
            end()

    if lifeline:
        loop.add_reader(0, parent_spoke)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    # The parent may be killed at any moment, so that it leaves the folder to be made here.
    folder = Path(doors.address.removeprefix("unix:")).parent
    made = doors.address.startswith("unix:") and not folder.exists()
    if made:
        try:
            folder.mkdir(0o700)
        except OSError as error:
            raise OSError(f"Cannot listen on {doors.address}: {error}") from None
    try:
        address = listen(server, doors.address, doors.tls and doors.tls.credentials())
        workers_address = ""
        if doors.workers_address:
            assert doors.tls is not None
            anyone = doors.tls.for_anyone().credentials()
            workers_address = listen(server, doors.workers_address, anyone)
            workers.port = int(workers_address.rpartition(":")[2])
        notes = []
        if doors.health_address:
            probed, _probes = await answer_probes(doors.health_address, serves)
            notes.append(f"Probes are answered on {probed}, in plaintext.")
        if doors.metrics_address:
            from . import metrics

            notes.append(f"Metrics are at {metrics.offer(executor, doors.metrics_address)}.")
    except OSError:
        if made:
            folder.rmdir()
        raise
    await server.start()
    collect_garbage_in_small_parts()
    ready(address, workers_address, notes)
    await ended


def collect_garbage_in_small_parts() -> None:
    """Let the garbage collector look through few objects at a time, as nothing is answered
    meanwhile: 30,000 at most, which takes some 10 ms.

    All objects that there are now stay. Histories grow and have no cycles, so that all objects are
    looked through only when there are many millions of new ones.
    """
    gc.freeze()
    gc.set_threshold(10_000, 1, 1_000)
    gc.enable()


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


def main(arguments: list[str]) -> None:
    secrecy.shield()
    lifeline = not arguments
    try:
        doors = _parents_doors() if lifeline else _own_doors(_options(arguments))
        log.set_up(log.take())
    except InvalidConfiguration as error:
        sys.exit(_failed(str(error)))

    def ready(address: str, workers_address: str, notes: list[str]) -> None:
        text = f"ready {address}\n"
        if not lifeline:
            others = f", and for workers on {workers_address}" if workers_address else ""
            how = "in plaintext" if doors.tls is None else "with TLS"
            notes.append(f"The coordinator listens on {address}{others}, {how}. Ctrl-C ends it.")
            text = "".join(f"{note}\n" for note in notes)
        # The parent may be gone by now; then standard input has ended, or is about to.
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            pass
        except OSError as error:
            why = f"Standard output cannot be written to: {error.strerror}."
            raise OSError(why) from None

    async def serve_and_leave() -> NoReturn:
        await serve(doors, ready, lifeline=lifeline)
        _leave(doors.address)

    try:
        uvloop.run(serve_and_leave())
    except OSError as error:
        sys.exit(_failed(str(error)))


def _options(arguments: list[str]) -> argparse.Namespace:
    # A runner's own coordinator starts without it.
    import argparse

    parser = argparse.ArgumentParser(prog="coordinator")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    parser.add_argument("--listen-workers", default="", metavar="HOST:PORT")
    for name in ("token", "worker-host-token", "cert", "key", "client-ca"):
        parser.add_argument(f"--{name}-file", default="")
    parser.add_argument("--insecure-plaintext", action="store_true")
    parser.add_argument("--health", default="", metavar="HOST:PORT")
    parser.add_argument("--metrics", default="", metavar="HOST:PORT")
    return parser.parse_args(arguments)


def _parents_doors() -> Doors:
    told = secrecy.read(0)
    if told is None:
        raise InvalidConfiguration("No token came on standard input.")
    token, address, _ = told
    if not is_local(address):
        raise InvalidConfiguration(
            f"{address} is not a loopback address: a runner's own coordinator listens on this "
            "machine only. `durable-runner coordinator` listens elsewhere, with TLS."
        )
    return Doors(address, Credentials(fixed(token), fixed(token)))


def _own_doors(options: argparse.Namespace) -> Doors:
    if options.metrics and find_spec("prometheus_client") is None:
        raise InvalidConfiguration(
            "Figures for Prometheus are made by the package prometheus_client, which is not "
            'installed: pip install "async-durable-execution-runner[metrics]"'
        )
    others = options.health, options.metrics
    tls = None
    if options.cert_file or options.key_file or options.client_ca_file:
        tls = ServerTls.read(options.cert_file, options.key_file, options.client_ca_file)
    elif not is_local(options.listen) and not options.insecure_plaintext:
        raise InvalidConfiguration(
            f"{options.listen} can be reached from other machines, and without TLS everybody "
            "between could read tokens and payloads: give --cert-file and --key-file "
            "(`durable-runner certificates` makes some), or --insecure-plaintext."
        )
    if tls is not None and tls.demands_certificates:
        if options.token_file or options.worker_host_token_file:
            raise InvalidConfiguration(
                "With --client-ca-file certificates tell who calls: leave the token files out."
            )
        if not options.listen_workers:
            raise InvalidConfiguration(
                "With --client-ca-file, give --listen-workers HOST:PORT too: worker processes, "
                "which have no certificate, call the coordinator there with a credential of "
                "their own."
            )
        nobody = Credentials(fixed(""), fixed(""))
        return Doors(options.listen, nobody, tls, options.listen_workers, *others)
    if options.listen_workers:
        raise InvalidConfiguration("--listen-workers is for --client-ca-file only.")
    if not options.token_file or not options.worker_host_token_file:
        raise InvalidConfiguration(
            "Give --token-file and --worker-host-token-file, or --client-ca-file: they say who "
            "may call. `durable-runner certificates` makes all of them."
        )
    tokens = TokenFile(options.token_file), TokenFile(options.worker_host_token_file)
    if set(tokens[0]()) & set(tokens[1]()):
        raise InvalidConfiguration(
            f"{options.token_file} and {options.worker_host_token_file} have a token in common: "
            "a worker host could then register code."
        )
    if options.insecure_plaintext and tls is None and not is_local(options.listen):
        sys.stderr.write(
            f"WARNING: {options.listen} is served in plaintext. Everybody between this machine "
            "and its callers can read tokens and payloads, and run code on the worker hosts.\n"
        )
    return Doors(options.listen, Credentials(*tokens), tls, "", *others)


def _failed(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return 2
