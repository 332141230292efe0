"""The commands for workers on other machines: `coordinator`, `worker-host` and `certificates`."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from ..security import access
from . import arguments as kinds
from . import local

#: Seconds: no invocation on Lambda takes longer than 15 minutes.
_DRAIN_TIMEOUT = 900.0


def add_commands(commands: Any) -> None:
    coordinator = commands.add_parser(
        "coordinator",
        help="stand by for runners and worker hosts on other machines",
        description="Hold executions for runners with coordinator=, and lease their invocations "
        "to the worker hosts that have joined, until SIGINT or SIGTERM.",
    )
    coordinator.add_argument(
        "--listen", required=True, type=kinds.listening, metavar="HOST:PORT", help="listen there"
    )
    for name, what in {
        "token": "what runners bring: a token in each line, read anew when the file changes",
        "worker-host-token": "what worker hosts bring, likewise",
        "cert": "the certificate of this coordinator, in PEM, read anew when the file changes",
        "key": "the key of that certificate, in PEM",
        "client-ca": "the authorities that sign the certificates of runners and worker hosts, "
        "in PEM, in place of tokens",
    }.items():
        coordinator.add_argument(f"--{name}-file", default="", metavar="FILE", help=what)
    coordinator.add_argument(
        "--listen-workers",
        type=kinds.listening,
        metavar="HOST:PORT",
        help="with --client-ca-file: where worker processes call, which have no certificate",
    )
    coordinator.add_argument(
        "--insecure-plaintext", action="store_true", help="speak no TLS beyond this machine"
    )
    _add_health(coordinator, "SERVING as long as it runs")
    coordinator.add_argument(
        "--metrics",
        type=kinds.tcp,
        metavar="HOST:PORT",
        help="offer figures for Prometheus there over HTTP, to whoever can reach that address; "
        "needs the extra metrics",
    )
    local.add_verbose(coordinator)
    coordinator.set_defaults(run=_coordinator)

    host = commands.add_parser(
        "worker-host",
        help="run a coordinator's invocations in workers on this machine",
        description="Run invocations for the coordinator at an address, in worker processes on "
        "this machine. SIGTERM lets those that run end first, SIGINT and SIGQUIT do not. Without "
        "--token-file the token is read from the environment variable DURABLE_RUNNER_TOKEN.",
    )
    host.add_argument(
        "--connect",
        required=True,
        type=kinds.address,
        metavar="HOST:PORT",
        help="the coordinator's address",
    )
    host.add_argument(
        "--slots",
        type=kinds.count,
        default=os.cpu_count(),
        help="workers at most (default: all cores)",
    )
    host.add_argument(
        "--label",
        action="append",
        type=kinds.pair,
        default=[],
        metavar="KEY=VALUE",
        help="describe this machine to the coordinator; may be repeated",
    )
    host.add_argument(
        "--app-dir",
        default=".",
        metavar="FOLDER",
        help="import handlers from here, and run them in it (default: the working folder)",
    )
    host.add_argument(
        "--reload",
        action="store_true",
        help="import code anew when a Python file below that folder changes",
    )
    host.add_argument(
        "--drain-timeout",
        type=kinds.seconds,
        default=_DRAIN_TIMEOUT,
        metavar="SECONDS",
        help="what invocations have to end after a SIGTERM (default: %(default)g)",
    )
    _add_health(host, "SERVING while it takes invocations from a coordinator")
    access.add_options(host)
    local.add_verbose(host)
    host.set_defaults(run=_worker_host)

    certificates = commands.add_parser(
        "certificates",
        help="write what a team needs to begin with TLS",
        description="Write an authority, certificates for the coordinator, runners and worker "
        "hosts, and two tokens, into a folder.",
    )
    certificates.add_argument("folder", type=Path, metavar="FOLDER")
    certificates.add_argument(
        "--host",
        action="append",
        required=True,
        metavar="NAME",
        help="a name or address by which the coordinator is called; may be repeated",
    )
    certificates.add_argument(
        "--days",
        type=kinds.count,
        default=90,
        help="how long they are good (default: %(default)s)",
    )
    certificates.set_defaults(run=_certificates)


def _add_health(parser: argparse.ArgumentParser, answer: str) -> None:
    parser.add_argument(
        "--health",
        type=kinds.listening,
        metavar="HOST:PORT",
        help=f"answer probes there by grpc.health.v1, without TLS or token: {answer}",
    )


def _coordinator(options: argparse.Namespace) -> NoReturn:
    command = ["--listen", options.listen]
    for name in ("token", "worker_host_token", "cert", "key", "client_ca"):
        if path := getattr(options, f"{name}_file"):
            command += [f"--{name.replace('_', '-')}-file", path]
    if options.listen_workers:
        command += ["--listen-workers", options.listen_workers]
    if options.insecure_plaintext:
        command.append("--insecure-plaintext")
    if options.health:
        command += ["--health", options.health]
    if options.metrics:
        command += ["--metrics", options.metrics]
    # The coordinator's modules are for its own process only.
    module = f"{__package__.partition('.')[0]}.coordinator"
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *command])


def _worker_host(options: argparse.Namespace) -> int:
    from ..host.__main__ import main as host_main

    command = ["--connect", options.connect, "--slots", str(options.slots)]
    command += ["--app-dir", options.app_dir]
    command += ["--drain-timeout", str(options.drain_timeout)]
    if options.reload:
        command.append("--reload")
    for name, value in options.label:
        command += ["--label", f"{name}={value}"]
    if options.health:
        command += ["--health", options.health]
    command += access.arguments(vars(options), {})
    return host_main(command)


def _certificates(options: argparse.Namespace) -> int:
    from ..security.certificates import write

    for path, what in write(options.folder, options.host, timedelta(days=options.days)):
        sys.stdout.write(f"{path}  {what}\n")
    return 0
