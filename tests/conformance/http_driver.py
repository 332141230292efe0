"""The requirements over HTTP and in real time, as a caller sees them: boto3 and a clock."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.clients import Client, client_for

from async_durable_execution_runner import DurableFunctionTestRunner
from async_durable_execution_runner.runner import ExecutionHandle

from .cases import Case
from .driver import Answers, Observation, _logs
from .handlers import Deployment

#: Real seconds; a case that takes longer hangs.
_LONGEST_SECONDS = 60
#: How often to look for callbacks: over HTTP nobody is told of them.
_POLL_SECONDS = 0.1


@dataclass
class HttpDriver:
    deployments: dict[str, Deployment]
    isolation: str = "worker"

    def drive(self, case: Case, done: Callable[[Observation], bool]) -> Observation:
        deployment = self.deployments[case.id]
        with (
            DurableFunctionTestRunner(
                handler=deployment.handler,
                workers=2,
                isolation=self.isolation,
                skip_time=False,
                **deployment.options,
            ) as runner,
            ThreadPoolExecutor(2) as pool,
        ):
            for name, target in deployment.durable.items():
                runner.register_durable_function(name, target)
            for name, target in deployment.plain.items():
                runner.register_function(name, target)
            client = client_for(runner.serve_aws_api())
            invoking = pool.submit(
                client.invoke,
                FunctionName=runner.function_name,
                InvocationType="Event" if case.asynchronous else "RequestResponse",
                Payload=json.dumps(case.input).encode(),
            )
            arn = _arn(client, runner.function_name, invoking)
            handle = ExecutionHandle(runner._engine, arn)
            ended = pool.submit(handle.result, _LONGEST_SECONDS)
            try:
                caller = Caller(client, arn, Answers(list(case.callbacks)))
                return self._watch(case, done, caller, handle, ended)
            finally:
                client.stop_durable_execution(DurableExecutionArn=arn)

    @staticmethod
    def _watch(
        case: Case,
        done: Callable[[Observation], bool],
        caller: Caller,
        handle: ExecutionHandle,
        ended: Future[Any],
    ) -> Observation:
        latest = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < latest:
            # Last the history, which then has all that the others say.
            status = caller.execution()
            result = handle.snapshot()
            history = caller.answer()
            seen = Observation(
                status["Status"],
                status.get("Result"),
                status.get("Error"),
                history,
                list(_logs(result)),
            )
            # The last invocation may outlive what it ended.
            settled = all(each.end_ms for each in result._record.invocations)
            if (seen.status != "RUNNING" and settled) or (case.result is None and done(seen)):
                return seen
            wait([ended], _POLL_SECONDS)
        raise AssertionError(f"still {seen.status} after {_LONGEST_SECONDS} s: {history}")


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
