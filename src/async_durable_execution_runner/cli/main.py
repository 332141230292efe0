"""`durable-runner`: the command line.

durable-runner demo           show an order workflow survive the death of its worker
durable-runner run            run a handler once, with faults from the command line
durable-runner explore        kill a handler's worker at every moment, one run after another
durable-runner serve          offer functions over the AWS API, to boto3, the AWS CLI and the SDKs
durable-runner logs           show what served functions have written
durable-runner invoke         invoke a function of a server, or of Lambda
durable-runner executions     list | get | history | stop
durable-runner callback       succeed | fail | heartbeat
durable-runner diff           show where two histories of one function part
durable-runner coordinator    stand by for runners and worker hosts on other machines
durable-runner worker-host    run a coordinator's invocations in workers on this machine
durable-runner workers        list a coordinator's worker hosts and workers, and what they run
durable-runner certificates   write what a team needs to begin with TLS
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path

from .. import log
from ..core.text import visible
from ..errors import InvalidConfiguration, RunnerError
from . import arguments as kinds
from . import executions, local, logs, remote, workers

_PACKAGE = "async-durable-execution-runner"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    The code is 0 where the command is done, 1 where it failed, 2 where it was called wrongly.
    """
    parser = kinds.Parser(
        prog="durable-runner", description="Run AWS Lambda durable functions in worker processes."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version(_PACKAGE)}")
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", help="watch an execution survive the death of its worker")
    demo.set_defaults(run=_demo)

    local.add_commands(commands)

    server = commands.add_parser(
        "serve",
        help="offer functions over the AWS API",
        description="Offer functions over the AWS API until SIGINT or SIGTERM, in real time.",
    )
    server.add_argument(
        "--host", default="127.0.0.1", help="listen on this address (default: %(default)s)"
    )
    server.add_argument(
        "--port",
        type=kinds.port,
        default=0,
        help="listen on this port; 0 takes any that is free (default: %(default)s)",
    )
    server.add_argument(
        "--function",
        action="append",
        default=[],
        metavar="NAME=MODULE:HANDLER",
        help="serve this function; may be repeated",
    )
    server.add_argument(
        "--functions", metavar="FILE", help="serve the functions of a TOML or JSON file"
    )
    server.add_argument(
        "--template", metavar="FILE", help="serve those of a SAM or CloudFormation template"
    )
    server.add_argument(
        "--workers", type=kinds.count, help="worker processes (default: one per core)"
    )
    server.add_argument(
        "--isolation",
        default="worker",
        choices=["worker", "execution", "invocation"],
        help="how far invocations are kept apart (default: %(default)s)",
    )
    server.add_argument("--skip-time", action="store_true", help="waits take no real time")
    server.add_argument(
        "--region",
        help="the region in the functions' ARNs and environments (default: $AWS_REGION, or else "
        "us-east-1)",
    )
    server.add_argument(
        "--account", help="the account in the functions' ARNs (default: 123456789012)"
    )
    server.add_argument(
        "--logs",
        metavar="FOLDER",
        type=Path,
        help="keep what functions write in this folder, in a file for each function",
    )
    server.add_argument(
        "--reload", action="store_true", help="serve code and files anew when they change"
    )
    local.add_verbose(server)
    add_access(server)
    server.set_defaults(run=_serve)

    logs.add_command(commands)

    diff = commands.add_parser(
        "diff",
        help="compare two histories",
        description="Show where two executions of one function part, ids and times aside. "
        "The exit code is 0 if they are the same, 1 if not, 2 if one cannot be read.",
    )
    for name in ("local", "cloud"):
        diff.add_argument(
            name,
            metavar=name.upper(),
            help="a file as `aws lambda get-durable-execution-history` prints it, an ARN, or "
            "FUNCTION/NAME",
        )
    diff.add_argument(
        "--endpoint",
        type=kinds.url,
        default=os.environ.get("AWS_ENDPOINT_URL_LAMBDA") or None,
        metavar="URL",
        help="read executions at this endpoint (default: $AWS_ENDPOINT_URL_LAMBDA)",
    )
    diff.add_argument("--region", help="read them in this region (default: the ARN's own)")
    diff.set_defaults(run=_diff)

    executions.add_commands(commands)

    remote.add_commands(commands)

    workers.add_command(commands)

    return execute(parser, arguments)


def execute(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code; write an error of this package in one line."""
    if "_ARGCOMPLETE" in os.environ:
        # A shell asks what may come next.
        import argcomplete

        argcomplete.autocomplete(parser)
    for stream in (sys.stdout, sys.stderr):
        # A terminal may lack a character that a handler wrote, or that we draw with.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parsed = parser.parse_args(arguments)
    try:
        if getattr(parsed, "verbose", False):
            os.environ[log.VARIABLE] = "debug"
        code = int(parsed.run(parsed))
        sys.stdout.flush()
        return code
    except (RunnerError, TimeoutError) as error:
        sys.stderr.write(f"{parser.prog}: {visible(str(error))}\n")
        return 2 if isinstance(error, InvalidConfiguration) else 1
    except KeyboardInterrupt as interrupt:
        for note in getattr(interrupt, "__notes__", ()):
            sys.stderr.write(f"{parser.prog}: {visible(str(note))}\n")
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has read enough.
        _flush_for_nobody()
        return 1
    except OSError as error:
        if error.errno not in _FULL:
            raise
        sys.stderr.write(
            f"{parser.prog}: Standard output cannot be written to: {error.strerror}.\n"
        )
        _flush_for_nobody()
        return 1


def _flush_for_nobody() -> None:
    """Let the interpreter's last flush of standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _serve(arguments: argparse.Namespace) -> int:
    from ..client import settings
    from ..serving import template
    from ..serving.functions_file import FunctionConfig, of_text, read

    try:
        place = settings.place(arguments.region, arguments.account)
    except ValueError as error:
        raise InvalidConfiguration(str(error)) from None
    file, template_file = arguments.functions, arguments.template
    files = [Path(name) for name in (file, template_file) if name is not None]

    def functions() -> list[FunctionConfig]:
        found = [of_text(text) for text in arguments.function]
        if file is not None:
            found += read(Path(file))
        if template_file is not None:
            found += template.read(Path(template_file), place)
        return found

    found, keys = functions(), access_keys(arguments)
    # This takes half a second, for which nobody waits who has called it wrongly.
    from ..serving.serve import Reload, serve

    local.import_from_here()
    serve(
        found,
        host=arguments.host,
        port=arguments.port,
        place=place,
        say=say,
        warn=_warn,
        workers=arguments.workers,
        isolation=arguments.isolation,
        skip_time=arguments.skip_time,
        access_keys=keys,
        allow_hosts=arguments.allow_host,
        logs=arguments.logs,
        reload=Reload(functions, files) if arguments.reload else None,
    )
    return 0


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add the options that say whose requests are taken."""
    parser.add_argument(
        "--access-key",
        metavar="ID",
        help="demand requests that are signed with this access key; its secret is read from the "
        "environment variable DURABLE_RUNNER_SECRET_KEY",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="without an access key: take requests for this host, too, not for this machine's own "
        "loopback alone, and those of its web pages; may be repeated",
    )


def access_keys(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the id of the key that requests must be signed with, and its secret."""
    if arguments.access_key is None:
        return {}
    secret = os.environ.get("DURABLE_RUNNER_SECRET_KEY")
    if not secret or not arguments.access_key:
        empty = "DURABLE_RUNNER_SECRET_KEY is not set" if not secret else "it is empty"
        raise InvalidConfiguration(f"--access-key: {empty}.")
    return {arguments.access_key: secret}


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _warn(sentence: str) -> None:
    sys.stderr.write(f"durable-runner: {visible(sentence)}\n")
    sys.stderr.flush()


def _diff(arguments: argparse.Namespace) -> int:
    from . import diff

    try:
        return diff.run(
            arguments.local,
            arguments.cloud,
            arguments.endpoint,
            arguments.region,
            sys.stdout.write,
        )
    except RunnerError as error:
        sys.stderr.write(f"durable-runner diff: {visible(str(error))}\n")
        return 2


def _demo(_: argparse.Namespace) -> int:
    from .demo import show

    return show(sys.stdout.write)


if __name__ == "__main__":
    sys.exit(main())
