"""The commands that ask Lambda, or whoever stands in for Lambda: invoke, executions, callback.

They print what people want to know; with --json they print what Lambda answered.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..client.drive import drive
from ..core.text import visible
from ..errors import InvalidConfiguration, InvalidParameterValue
from . import execution_names
from .arguments import REGION_AND_ENDPOINT, count, payload, url, utf8

if TYPE_CHECKING:
    from ..aws.api import Client

#: The ends of the names of the hosts that are Lambda.
_LAMBDA_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
#: The executions at most on a page of Lambda's.
_PAGE = 1000

Commands = Any
"""What `add_subparsers` returns; argparse has no public name for its class."""


def add_commands(commands: Commands) -> None:
    invoke = _command(commands, "invoke", "invoke a function", _invoke)
    invoke.add_argument("function", metavar="FUNCTION", help="a name, with a qualifier or without")
    invoke.add_argument(
        "--input",
        type=payload,
        default="null",
        metavar="INPUT",
        help="JSON, any other text, @FILE, or - for standard input (default: %(default)s)",
    )
    invoke.add_argument("--name", help="the execution's name")
    invoke.add_argument("--tenant", help="the tenant's id")
    invoke.add_argument("--event", action="store_true", help="do not wait for the end")

    executions = commands.add_parser("executions", help="look at executions, or stop one")
    kinds = executions.add_subparsers(dest="kind", required=True)
    listed = _command(kinds, "list", "a function's executions, the newest first", _list)
    listed.add_argument("function", metavar="FUNCTION")
    listed.add_argument(
        "--status",
        action="append",
        choices=["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"],
        help="only those; may be repeated",
    )
    listed.add_argument("--name", help="only those of this name")
    listed.add_argument("--most", type=count, default=50, help="(default: %(default)s)")
    _of_execution(_command(kinds, "get", "one execution", _get))
    _of_execution(_command(kinds, "history", "an execution's operations and events", _history))
    stop = _of_execution(_command(kinds, "stop", "end an execution at once", _stop))
    stop.add_argument("--error", metavar="MESSAGE", help="why")

    callback = commands.add_parser("callback", help="answer a callback")
    answers = callback.add_subparsers(dest="answer", required=True)
    succeed = _of_callback(_command(answers, "succeed", "with a result", _succeed))
    succeed.add_argument("--result", metavar="TEXT", help="sent as it stands")
    fail = _of_callback(_command(answers, "fail", "with an error", _fail))
    fail.add_argument("--message")
    fail.add_argument("--type")
    _of_callback(_command(answers, "heartbeat", "say that the answer is still to come", _heartbeat))


def _command(
    commands: Commands, name: str, text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text)
    parser.register("type", None, utf8)
    parser.add_argument(
        "--endpoint",
        type=url,
        default=os.environ.get("AWS_ENDPOINT_URL_LAMBDA") or None,
        metavar="URL",
        help="(default: $AWS_ENDPOINT_URL_LAMBDA)",
    )
    parser.add_argument("--region", help="(default: as the AWS CLI finds it)")
    parser.add_argument("--json", action="store_true", help="print what Lambda answered")
    parser.set_defaults(run=run)
    return parser


def _of_execution(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("arn", metavar="EXECUTION", help=execution_names.HELP)
    return parser


def _of_callback(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("id", metavar="ID", nargs="?", help="the callback's id")
    parser.add_argument(
        "--execution", metavar="EXECUTION", help=f"{execution_names.HELP}, instead of an id"
    )
    parser.add_argument("--name", help="the callback's name in this execution (default: any)")
    return parser


# -- the commands --------------------------------------------------------------------------


def _invoke(arguments: argparse.Namespace) -> int:
    _say_if_real(arguments)
    try:
        answer = _call(
            arguments,
            "invoke",
            FunctionName=arguments.function,
            InvocationType="Event" if arguments.event else "RequestResponse",
            Payload=arguments.input.encode(),
            DurableExecutionName=arguments.name,
            TenantId=arguments.tenant,
        )
    except InvalidParameterValue as error:
        if "executionTimeout greater than 15 minutes" not in error.message:
            raise
        raise InvalidParameterValue(
            f"{error} Give --event, and ask for its end with `durable-runner executions get ARN`."
        ) from None
    payload = answer["Payload"].read().decode()
    answer["Payload"] = payload
    if not _print_json(arguments, answer):
        if arn := answer.get("DurableExecutionArn"):
            _say(f"execution    {arn}")
        if answer.get("FunctionError"):
            _say(f"error        {payload}")
        elif payload:
            _say(f"result       {payload}")
    return 1 if answer.get("FunctionError") else 0


def _list(arguments: argparse.Namespace) -> int:
    from ..results.text import duration_text

    listed: list[Any] = []
    marker: str | None = None
    while marker != "" and len(listed) < arguments.most:
        page = _call(
            arguments,
            "list_durable_executions_by_function",
            FunctionName=arguments.function,
            Statuses=arguments.status,
            DurableExecutionName=arguments.name,
            MaxItems=min(_PAGE, arguments.most - len(listed)),
            ReverseOrder=True,
            Marker=marker,
        )
        listed += page.get("DurableExecutions", ())
        marker = page.get("NextMarker") or ""
    answer = {"DurableExecutions": listed}
    if not _print_json(arguments, answer):
        for each in answer.get("DurableExecutions", ()):
            ended = each.get("EndTimestamp")
            took = duration_text(ended - each["StartTimestamp"]) if ended else ""
            _say(
                f"{each['StartTimestamp']:%Y-%m-%d %H:%M:%S}  {each['Status']:<9}  {took:<12}  "
                f"{each['DurableExecutionName']}  {each['DurableExecutionArn']}"
            )
    return 0


def _get(arguments: argparse.Namespace) -> int:
    arn = execution_names.arn_of(arguments.arn, _client(arguments))
    answer = _call(arguments, "get_durable_execution", DurableExecutionArn=arn)
    if not _print_json(arguments, answer):
        for key, value in answer.items():
            _say(f"{key:<22} {_text(value)}")
    return 0


def _history(arguments: argparse.Namespace) -> int:
    from ..runner.cloud import DurableFunctionCloudTestRunner
    from ..runner.handles import ExecutionHandle

    client = _client(arguments)
    arn = execution_names.arn_of(arguments.arn, client)
    if arguments.json:
        events: list[Any] = []
        marker = None
        while marker != "":
            page = _call(
                arguments,
                "get_durable_execution_history",
                DurableExecutionArn=arn,
                IncludeExecutionData=True,
                Marker=marker,
            )
            events += page["Events"]
            marker = page.get("NextMarker") or ""
        _print_json(arguments, {"Events": events})
        return 0
    function = arn.split("/durable-execution/")[0]
    with DurableFunctionCloudTestRunner(function, client=client) as runner:
        result = ExecutionHandle(runner._engine, arn).snapshot()
    _say(result.describe())
    _say("")
    for line in _timeline(result.history):
        _say(line)
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    error = {"ErrorMessage": arguments.error} if arguments.error else None
    _say_if_real(arguments)
    arn = execution_names.arn_of(arguments.arn, _client(arguments))
    answer = _call(arguments, "stop_durable_execution", DurableExecutionArn=arn, Error=error)
    return _done(arguments, answer, f"stopped      {arn}")


def _succeed(arguments: argparse.Namespace) -> int:
    result = None if arguments.result is None else arguments.result.encode()
    method = "send_durable_execution_callback_success"
    id = _callback_id(arguments)
    answer = _call(arguments, method, CallbackId=id, Result=result)
    return _done(arguments, answer, f"succeeded    {id}")


def _fail(arguments: argparse.Namespace) -> int:
    error = {"ErrorMessage": arguments.message, "ErrorType": arguments.type}
    given = {name: value for name, value in error.items() if value is not None}
    method = "send_durable_execution_callback_failure"
    id = _callback_id(arguments)
    answer = _call(arguments, method, CallbackId=id, Error=given)
    return _done(arguments, answer, f"failed       {id}")


def _heartbeat(arguments: argparse.Namespace) -> int:
    method = "send_durable_execution_callback_heartbeat"
    id = _callback_id(arguments)
    return _done(arguments, _call(arguments, method, CallbackId=id), f"heartbeat    {id}")


def _callback_id(arguments: argparse.Namespace) -> str:
    """The callback's id, as given or found by its name in an execution."""
    from ..runner.cloud import DurableFunctionCloudTestRunner

    if (arguments.id is None) == (arguments.execution is None):
        raise InvalidConfiguration("Give the callback's ID, or --execution and --name.")
    _say_if_real(arguments)
    if arguments.id is not None:
        return str(arguments.id)
    client = _client(arguments)
    arn = execution_names.arn_of(arguments.execution, client)
    function = arn.split("/durable-execution/")[0]
    with DurableFunctionCloudTestRunner(function, client=client) as runner:
        return runner.wait_for_callback(arn, arguments.name, timeout=0)


def _done(arguments: argparse.Namespace, answer: dict[str, Any], line: str) -> int:
    if not _print_json(arguments, answer):
        _say(line)
    return 0


# -- asking and printing -------------------------------------------------------------------


def _client(arguments: argparse.Namespace) -> Client:
    """The one client of the command: boto3 reads megabytes of JSON to make one."""
    from ..aws import api

    if not hasattr(arguments, "client"):
        arguments.client = api.make_client(
            arguments.region, arguments.endpoint, options=REGION_AND_ENDPOINT
        )
    client: Client = arguments.client
    return client


def _say_if_real(arguments: argparse.Namespace) -> None:
    """Say on standard error that Lambda itself is about to be asked, and in which account."""
    client = _client(arguments)
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    if not host.endswith(_LAMBDA_HOSTS):
        return
    from ..aws.api import account

    where = f"account {account(client.meta.region_name)}, {client.meta.region_name}"
    sys.stderr.write(
        f"No --endpoint is given, and AWS_ENDPOINT_URL_LAMBDA is not set: asking AWS Lambda in "
        f"{where}.\n"
    )
    sys.stderr.flush()


def _call(arguments: argparse.Namespace, method: str, **given: Any) -> dict[str, Any]:
    """The answer to one call; members that are None are left out. An error is one of this
    package's, in one sentence."""
    from ..aws.api import BlockingClock, LambdaApi

    client = _client(arguments)
    present = {name: value for name, value in given.items() if value is not None}
    api = LambdaApi(client, BlockingClock())
    answer = drive(api.call(method, **present))
    answer.pop("ResponseMetadata", None)
    return answer


def _print_json(arguments: argparse.Namespace, answer: dict[str, Any]) -> bool:
    if arguments.json:
        _say(json.dumps(answer, indent=2, default=_text))
    return bool(arguments.json)


def _timeline(events: Iterable[Any]) -> Iterable[str]:
    """A line for each event, with the time since the first event."""
    first: datetime | None = None
    for event in events:
        first = first or event.timestamp
        since = (event.timestamp - first).total_seconds()
        line = f"{since:>12.3f} s  {event.event_id:>4}  {event.event_type:<24} {event.name or ''}"
        yield line.rstrip()


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _say(text: str) -> None:
    sys.stdout.write(f"{visible(text)}\n")
