"""`dex-local-runner`: the earlier package's command line, for scripts that use it.

Each option may stand in an environment variable, such as AWS_DEX_PORT for --port.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from ..aws.api import BlockingClock, LambdaApi, make_client
from ..client.cluster import own_cluster
from ..client.drive import drive
from ..web.server import WebRunner, WebRunnerConfig, WebServiceConfig
from . import arguments as kinds
from .main import access_keys, add_access, execute, say

_LEVELS = logging.getLevelNamesMapping()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, which means what `durable-runner`'s does."""
    parser = argparse.ArgumentParser(
        prog="dex-local-runner",
        description="The earlier package's commands. New scripts: durable-runner.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    server = commands.add_parser(
        "start-server", help="hold executions of functions that another Lambda endpoint invokes"
    )
    _option(server, "host", "127.0.0.1", "where to listen")
    _option(server, "port", "5000", "0: any", kinds.port)
    _option(server, "log-level", "INFO", "as logging calls it", _level, metavar="NAME")
    _option(
        server,
        "lambda-endpoint",
        "http://127.0.0.1:3001",
        "where functions are invoked",
        kinds.url,
        metavar="URL",
    )
    _runner_options(server)
    _option(server, "local-runner-mode", "local", "does nothing")
    _option(server, "store-type", "memory", "there is no other", metavar="memory")
    _option(server, "store-path", "none", "does nothing")
    add_access(server)
    server.set_defaults(run=_start_server)

    invoke = commands.add_parser("invoke", help="start an execution")
    invoke.add_argument("--function-name", required=True, type=kinds.utf8, metavar="NAME")
    invoke.add_argument(
        "--input",
        default="{}",
        type=kinds.json_text,
        metavar="JSON",
        help="(default: %(default)s)",
    )
    invoke.add_argument("--durable-execution-name", type=kinds.utf8, metavar="NAME")
    _runner_options(invoke)
    invoke.set_defaults(run=_invoke)

    for name, run in (
        ("get-durable-execution", _get),
        ("get-durable-execution-history", _get_history),
    ):
        get = commands.add_parser(name, help="as JSON")
        get.add_argument(
            "--durable-execution-arn", required=True, type=kinds.utf8, metavar="ARN", dest="arn"
        )
        _runner_options(get)
        get.set_defaults(run=run)
    return execute(parser, arguments)


def _option(
    parser: argparse.ArgumentParser,
    name: str,
    default: str,
    text: str,
    kind: Callable[[str], Any] = str,
    *,
    dest: str | None = None,
    metavar: str | None = None,
) -> None:
    variable = f"AWS_DEX_{name.upper().replace('-', '_')}"
    parser.add_argument(
        f"--{name}",
        type=kind,
        default=os.environ.get(variable, default),
        help=f"{text} (default: {default}, or ${variable})",
        dest=dest,
        metavar=metavar,
    )


def _runner_options(parser: argparse.ArgumentParser) -> None:
    _option(
        parser,
        "local-runner-endpoint",
        "http://0.0.0.0:5000",
        "where the server is asked",
        kinds.url,
        dest="endpoint",
        metavar="URL",
    )
    _option(parser, "local-runner-region", "us-west-2", "the region of requests", dest="region")


def _level(name: str) -> int:
    if name not in _LEVELS:
        raise argparse.ArgumentTypeError(f"one of {', '.join(_LEVELS)} is needed, not {name!r}")
    return _LEVELS[name]


def _start_server(arguments: argparse.Namespace) -> int:
    logging.basicConfig(
        level=arguments.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("botocore").setLevel(max(logging.WARNING, arguments.log_level))
    config = WebRunnerConfig(
        WebServiceConfig(
            host=arguments.host,
            port=arguments.port,
            log_level=arguments.log_level,
            access_keys=access_keys(arguments),
            allow_hosts=arguments.allow_host,
        ),
        lambda_endpoint=arguments.lambda_endpoint,
        local_runner_endpoint=arguments.endpoint,
        local_runner_region=arguments.region,
        local_runner_mode=arguments.local_runner_mode,
        store_type=arguments.store_type,
        store_path=arguments.store_path,
    )
    # What the coordinator says of a failure is for whoever reads this server's log.
    own_cluster(shown=True)
    with WebRunner(config) as runner:
        # SIGTERM, too, ends what the runner started before it ends this process.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        say(f"Functions are invoked at {config.lambda_endpoint}; for their checkpoints:\n\n")
        say(f"export AWS_ENDPOINT_URL_LAMBDA={runner.endpoint_url}\n")
        runner.serve_forever()
    return 0


def _invoke(arguments: argparse.Namespace) -> int:
    name = arguments.durable_execution_name
    if name is None:
        # The name must be new, or this would find an earlier execution and start none.
        function = re.sub("[^A-Za-z0-9_-]+", "-", arguments.function_name)
        name = f"{function}-execution-{uuid4().hex[:8]}"
    api = _api(arguments)
    arn = drive(api.invoke(arguments.function_name, arguments.input, name, None))
    return _say_json({"ExecutionArn": arn})


def _get(arguments: argparse.Namespace) -> int:
    answer = drive(_api(arguments).execution(arguments.arn))
    del answer["ResponseMetadata"]
    return _say_json(answer)


def _get_history(arguments: argparse.Namespace) -> int:
    return _say_json({"Events": drive(_api(arguments).history(arguments.arn))})


def _api(arguments: argparse.Namespace) -> LambdaApi:
    return LambdaApi(make_client(arguments.region, arguments.endpoint), BlockingClock())


def _say_json(answer: dict[str, Any]) -> int:
    say(json.dumps(answer, indent=2, default=datetime.isoformat) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
