"""How a case is run. A driver knows the runner; cases, handlers and comparison do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from async_durable_execution import ErrorObject

from async_durable_execution_runner import (
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
    ExecutionHandle,
)
from async_durable_execution_runner.core import shapes
from async_durable_execution_runner.core.model import OutputStream

from .cases import Case
from .handlers.deployment import Deployment
from .matching import Bindings, history_problems, log_problems, problems

#: On the execution's clock; a case that takes longer hangs.
_LONGEST_SECONDS = 120


@dataclass(frozen=True)
class Observation:
    """What the service shows of an execution: `GetDurableExecution` and its history."""

    status: str
    result: str | None
    error: dict[str, Any] | None
    history: list[dict[str, Any]]
    #: The handler's JSON log records that name the execution, in order.
    logs: list[dict[str, Any]]


def check(case: Case, driver: Driver) -> None:
    """Drive it, and compare status, result, history and logs."""

    def unlike(seen: Observation, names: Bindings) -> list[str]:
        found = history_problems(case.history, seen.history, names)
        return found + log_problems(case.logs, seen.logs, names)

    seen = driver.drive(case, lambda seen: not unlike(seen, Bindings()))
    names = Bindings()
    found = unlike(seen, names)
    if case.result is not None:
        actual = {"ExecutionStatus": seen.status}
        if "Result" in case.result:
            actual["Result"] = json.loads(seen.result) if seen.result else None
        found += problems(case.result, actual, names, "result")
    assert not found, "\n".join([*found, *map(str, seen.history), *map(str, seen.logs)])


class Driver(Protocol):
    def drive(self, case: Case, done: Callable[[Observation], bool]) -> Observation:
        """Run `case` to its end, or until `done` where it has no expected result."""


@dataclass
class RunnerDriver:
    """In virtual time, second by second, so that what a caller does has its place in time."""

    deployments: dict[str, Deployment]
    isolation: str = "worker"

    def drive(self, case: Case, done: Callable[[Observation], bool]) -> Observation:
        deployment = self.deployments[case.id]
        with DurableFunctionTestRunner(
            handler=deployment.handler, workers=2, isolation=self.isolation, **deployment.options
        ) as runner:
            for name, target in deployment.durable.items():
                runner.register_durable_function(name, target, **deployment.target_options)
            for name, target in deployment.plain.items():
                runner.register_function(name, target)
            handle = runner.run_until_suspended(payload=json.dumps(case.input), timeout=30)
            caller = Caller(runner, Answers(list(case.callbacks)))
            for now in range(_LONGEST_SECONDS):
                seen = _observe(caller.answer(handle, now))
                if seen.status != "RUNNING" or (case.result is None and done(seen)):
                    return seen
                handle.advance(1)
        raise AssertionError(f"still {seen.status} after {now} seconds: {seen.history}")


@dataclass
class Answers:
    """To callbacks, and when: each new one takes the first unused action that fits."""

    actions: list[dict[str, Any]]
    #: When, to which callback, what.
    due: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def note(self, events: list[dict[str, Any]], now: float) -> None:
        """Have those callbacks answered of which a history tells for the first time."""
        for event in events:
            callback_id = event.get("CallbackStartedDetails", {}).get("CallbackId")
            if callback_id and callback_id not in self.known:
                self.known.add(callback_id)
                self._take(callback_id, event.get("Name"), now)

    def next(self, now: float) -> tuple[str, dict[str, Any]] | None:
        """The first that is due, which it thereby is no more."""
        for each in self.due:
            if each[0] <= now:
                self.due.remove(each)
                return each[1:]
        return None

    def _take(self, callback_id: str, name: str | None, now: float) -> None:
        for action in self.actions[:]:
            if action["CallbackName"] in ("*", name):
                self.actions.remove(action)
                now += action.get("Delay", 0)
                self.due.append((now, callback_id, action))
                if action["Operation"] != "heartbeat":
                    return


@dataclass
class Caller:
    """Whoever answers callbacks."""

    runner: DurableFunctionTestRunner
    answers: Answers

    def answer(self, handle: ExecutionHandle, now: int) -> DurableFunctionTestResult:
        """Do what is due, and what that makes due, then show the execution at rest."""
        while True:
            seen = handle.run_until_suspended(timeout=30)
            self.answers.note(_events(seen), now)
            action = self.answers.next(now)
            if action is None:
                return seen
            self._act(*action)

    def _act(self, callback_id: str, action: dict[str, Any]) -> None:
        payload = action.get("Payload")
        match action["Operation"]:
            case "success":
                text = json.dumps(payload) if "Payload" in action else None
                self.runner.send_callback_success(callback_id, text)
            case "failure":
                error = ErrorObject.from_dict(payload or {})
                self.runner.send_callback_failure(callback_id, error)
            case "heartbeat":
                self.runner.send_callback_heartbeat(callback_id)


def _observe(result: DurableFunctionTestResult) -> Observation:
    record = result._record
    return Observation(
        record.status.value,
        record.result,
        None if record.error is None else shapes.ERROR.to_json(record.error),
        _events(result),
        list(_logs(result)),
    )


def _events(result: DurableFunctionTestResult) -> list[dict[str, Any]]:
    return list(map(shapes.EVENT.to_json, result._record.events))


def _logs(result: DurableFunctionTestResult) -> Iterator[dict[str, Any]]:
    """As Lambda's JSON log format has them: what a logger says is a record, so is printed JSON."""
    for invocation in result.invocations:
        for line in invocation.lines:
            if line.stream is OutputStream.LOG:
                yield {"message": line.text, "executionArn": result.execution_arn}
                continue
            try:
                record = json.loads(line.text)
            except ValueError:
                continue
            if isinstance(record, dict) and result.execution_arn in (
                record.get("executionArn"),
                record.get("durableExecutionArn"),
            ):
                yield record
