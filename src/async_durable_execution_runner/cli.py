"""`durable-runner`: the command line.

durable-runner demo           an order workflow whose worker is killed once, as a timeline
durable-runner worker-host    serve another runner's invocations with workers on this machine
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .errors import RunnerError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 it failed, 2 it was called wrongly."""
    parser = argparse.ArgumentParser(
        prog="durable-runner", description="Run AWS Lambda durable functions in worker processes."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", help="watch an execution survive the death of its worker")
    demo.set_defaults(run=_demo)

    host = commands.add_parser(
        "worker-host",
        help="serve a runner that listens on an address",
        description="Start workers on this machine for a runner created with listen=. "
        "The token is read from the environment variable DURABLE_RUNNER_TOKEN.",
    )
    host.add_argument("--connect", required=True, metavar="HOST:PORT", help="the runner's address")
    host.add_argument(
        "--slots", type=int, default=os.cpu_count(), help="workers at most (default: all cores)"
    )
    host.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="describe this machine to the runner; may be repeated",
    )
    host.set_defaults(run=_worker_host)

    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except RunnerError as error:
        sys.stderr.write(f"durable-runner: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _demo(_: argparse.Namespace) -> int:
    from .demo import show

    return show(sys.stdout.write)


def _worker_host(arguments: argparse.Namespace) -> int:
    from .worker.__main__ import main as host_main

    command = ["--connect", arguments.connect, "--slots", str(arguments.slots)]
    for label in arguments.label:
        command += ["--label", label]
    return host_main(command)


if __name__ == "__main__":
    sys.exit(main())
