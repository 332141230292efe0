"""The requirements as a caller of `durable-runner serve` sees them: boto3, a clock, and the folder
of what handlers wrote."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.clients import Client, client_for
from serving.process import serving

from .cases import Case
from .driver import Answers, Observation
from .handlers.deployment import Deployment, Handler

#: Real seconds; a case that takes longer hangs.
_LONGEST_SECONDS = 60
#: How long after the end of an execution its last invocation may go on.
_GRACE_SECONDS = 5
#: How often to look: over HTTP nobody is told of anything.
_POLL_SECONDS = 0.25
_TESTS = Path(__file__).parents[1]


@contextmanager
def served(
    deployments: dict[str, Deployment], folder: Path, *arguments: str
) -> Iterator[HttpDriver]:
    """Each case as a function of its id, on as few servers as the names of the targets allow."""
    servers: list[dict[str, Handler]] = []
    server_of: dict[str, int] = {}
    for id, deployment in deployments.items():
        functions = {id: deployment.handler} | deployment.durable | deployment.plain
        number = next((n for n, each in enumerate(servers) if _agree(each, functions)), None)
        if number is None:
            number = len(servers)
            servers.append({})
        servers[number] |= functions
        server_of[id] = number
    with ExitStack() as stack:
        clients: list[tuple[Client, Path]] = []
        for number, functions in enumerate(servers):
            home = folder / str(number)
            home.mkdir(parents=True)
            described = "".join(map(_function, functions.keys(), functions.values()))
            (home / "functions.toml").write_text(described)
            given = ["--functions", "functions.toml", "--logs", "logs", *arguments]
            _, _, url = stack.enter_context(serving(home, *given))
            clients.append((client_for(url), home / "logs"))
        yield HttpDriver({id: clients[number] for id, number in server_of.items()})


def _agree(one: dict[str, Handler], other: dict[str, Handler]) -> bool:
    return all(one.get(name, handler) is handler for name, handler in other.items())


def _function(name: str, handler: Handler) -> str:
    bare, _, alias = name.partition(":")
    module = importlib.import_module(handler.__module__)
    (attribute,) = {name for name, value in vars(module).items() if value is handler}
    return f"""
[functions.{bare}]
handler = "{module.__name__}:{attribute}"
code = "{_TESTS}"
log_format = "JSON"
aliases = {json.dumps([alias] if alias else [])}
"""


@dataclass
class HttpDriver:
    """Where each case's function is: a client of its server, and the folder of its lines."""

    clients: dict[str, tuple[Client, Path]]

    def drive(self, case: Case, done: Callable[[Observation], bool]) -> Observation:
        client, logs = self.clients[case.id]
        with ThreadPoolExecutor(1) as pool:
            invoking = pool.submit(
                client.invoke,
                FunctionName=case.id,
                InvocationType="Event" if case.asynchronous else "RequestResponse",
                Payload=json.dumps(case.input).encode(),
            )
            arn = _arn(client, case.id, invoking)
            try:
                caller = Caller(client, arn, Answers(list(case.callbacks)))
                return _watch(case, done, caller, logs / f"{case.id}.jsonl")
            finally:
                client.stop_durable_execution(DurableExecutionArn=arn)


def _watch(
    case: Case, done: Callable[[Observation], bool], caller: Caller, logs: Path
) -> Observation:
    latest = time.monotonic() + _LONGEST_SECONDS
    ended = False
    while True:
        # Last the history, which then has all that the others say.
        status = caller.execution()
        seen = Observation(
            status["Status"],
            status.get("Result"),
            status.get("Error"),
            caller.answer(),
            list(_records(logs, caller.arn)),
        )
        if not ended and seen.status != "RUNNING":
            ended, latest = True, time.monotonic() + _GRACE_SECONDS
        if (ended or case.result is None) and done(seen):
            return seen
        if time.monotonic() > latest:
            return seen
        time.sleep(_POLL_SECONDS)


def _records(path: Path, arn: str) -> Iterator[dict[str, Any]]:
    """Those that name the execution."""
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if arn in (record.get("executionArn"), record.get("durableExecutionArn")):
            yield record


def _arn(client: Client, function: str, invoking: Future[Any]) -> str:
    """Of the only execution, which may still be waited for."""
    while True:
        answer = client.list_durable_executions_by_function(FunctionName=function)
        for execution in answer["DurableExecutions"]:
            return str(execution["DurableExecutionArn"])
        if invoking.done():
            invoking.result()


@dataclass
class Caller:
    """Reads the execution, and answers callbacks."""

    client: Client
    arn: str
    answers: Answers

    def execution(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get_durable_execution(DurableExecutionArn=self.arn)
        return answer

    def answer(self) -> list[dict[str, Any]]:
        """The history, and what it asks for done if it is time."""
        pages = self.client.get_paginator("get_durable_execution_history").paginate(
            DurableExecutionArn=self.arn
        )
        events = [_plain(event) for page in pages for event in page["Events"]]
        self.answers.note(events, time.monotonic())
        while action := self.answers.next(time.monotonic()):
            self._act(*action)
        return events

    def _act(self, callback_id: str, action: dict[str, Any]) -> None:
        match action["Operation"]:
            case "success":
                result = {"Result": json.dumps(action["Payload"])} if "Payload" in action else {}
                self.client.send_durable_execution_callback_success(
                    CallbackId=callback_id, **result
                )
            case "failure":
                self.client.send_durable_execution_callback_failure(
                    CallbackId=callback_id, Error=action.get("Payload") or {}
                )
            case "heartbeat":
                self.client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)


def _plain(value: Any) -> Any:
    """With timestamps as the service's JSON has them, which boto3 has read."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case datetime():
            return value.timestamp()
        case _:
            return value
