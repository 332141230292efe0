"""Handlers with instrumentation plugins, which the official SDK calls itself.

They are those that the published plugin requirements describe; each plugin prints what it is told.
"""

from __future__ import annotations

import json
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration, StepConfig
from aws_durable_execution_sdk_python.plugin import DurableInstrumentationPlugin, OperationType
from aws_durable_execution_sdk_python.retries import RetryDecision


class Plugin(DurableInstrumentationPlugin):
    label = "CONFPLUGIN"
    arn: str | None = None

    def create_plugin(self, info: Any) -> Plugin:
        """Since release 3 what is registered makes a plugin for each invocation."""
        return self

    def on_invocation_start(self, info: Any) -> None:
        self.arn = info.execution_arn

    def log(self, hook: str, **record: Any) -> None:
        head = {"plugin": self.label, "hook": hook, "durableExecutionArn": self.arn}
        print(json.dumps(head | record), flush=True)


def is_step(info: Any) -> bool:
    return info.operation_type is OperationType.STEP


class Lifecycle(Plugin):
    def on_invocation_start(self, info: Any) -> None:
        super().on_invocation_start(info)
        self.log("invocation-start", first=info.is_first_invocation)

    def on_invocation_end(self, info: Any) -> None:
        self.log("invocation-end", status=info.status.value)


class Operations(Plugin):
    """Of steps, and of the child contexts that they are in."""

    def on_operation_start(self, info: Any) -> None:
        if is_step(info):
            self.log("operation-start", op=info.operation_id, replay=info.is_replayed)

    def on_operation_end(self, info: Any) -> None:
        if info.operation_type in (OperationType.STEP, OperationType.CONTEXT):
            parent = info.parent_id or "NONE"
            status = info.status.value
            self.log("operation-end", op=info.operation_id, parent=parent, status=status)


class Attempts(Operations):
    def on_user_function_start(self, info: Any) -> None:
        if is_step(info):
            self.log("attempt-start", n=info.attempt, op=info.operation_id)

    def on_user_function_end(self, info: Any) -> None:
        if is_step(info):
            outcome = info.outcome.value
            self.log("attempt-end", n=info.attempt, outcome=outcome, op=info.operation_id)


class Changes(Plugin):
    def on_operation_change(self, info: Any) -> None:
        for operation_id, operation in info.updated_operations.items():
            if is_step(operation):
                known = operation_id in info.operations
                status = operation.status.value
                self.log("operation-change", op=operation_id, status=status, in_full_map=known)


class UpdatedOutside(Plugin):
    def on_invocation_start(self, info: Any) -> None:
        super().on_invocation_start(info)
        for operation_id, operation in info.updated_operations.items():
            first, status = info.is_first_invocation, operation.status.value
            self.log("updated-on-invoke", op=operation_id, status=status, first=first)


def failing(hook: str) -> Any:
    def fail(plugin: Plugin, info: Any) -> None:
        plugin.arn = getattr(info, "execution_arn", plugin.arn)
        plugin.log(hook)
        raise RuntimeError("this plugin is at fault")

    return fail


class Faulty(Plugin):
    label = "CONFPLUGIN-FAULTY"
    on_invocation_start = failing("invocation-start")
    on_invocation_end = failing("invocation-end")
    on_operation_start = failing("operation-start")
    on_operation_end = failing("operation-end")
    on_user_function_start = failing("attempt-start")
    on_user_function_end = failing("attempt-end")


class Healthy(Lifecycle, Attempts):
    label = "CONFPLUGIN-HEALTHY"


class Dump(Plugin):
    def on_operation_start(self, info: Any) -> None:
        if is_step(info):
            self.log("operation-start", **_shown(info))

    def on_operation_end(self, info: Any) -> None:
        if is_step(info):
            self.log("operation-end", **_shown(info))

    def on_operation_change(self, info: Any) -> None:
        for operation_id, operation in info.updated_operations.items():
            if is_step(operation):
                self.log(
                    "operation-change",
                    **_shown(operation),
                    executionArn=info.execution_arn,
                    updatedOperationsCount=len(info.updated_operations),
                    operationsCount=len(info.operations),
                    inFullMap=operation_id in info.operations,
                )


def _shown(info: Any) -> dict[str, Any]:
    record = {
        "id": info.operation_id,
        "name": info.name,
        "type": info.operation_type.value,
        "subType": getattr(info.sub_type, "value", info.sub_type),
        "parentId": info.parent_id,
        "status": info.status.value if info.status else None,
        "startTimestamp": info.start_time.isoformat() if info.start_time else None,
        "endTimestamp": info.end_time.isoformat() if info.end_time else None,
        "error": info.error.message if info.error else None,
        "attempt": info.attempt,
        "isReplay": info.is_replayed,
    }
    return {key: value for key, value in record.items() if value is not None}


# -- handlers --------------------------------------------------------------------------------


def twice(error: Exception, attempt: int) -> RetryDecision:
    again = RetryDecision.retry(Duration.from_seconds(1))
    return again if attempt < 2 else RetryDecision.no_retry()


TWICE = StepConfig(retry_strategy=twice)


def fail_once(step: StepContext) -> str:
    if step.attempt == 1:
        raise RuntimeError("not yet")
    return "Operation succeeded"


def fail(_: StepContext) -> None:
    raise RuntimeError("never")


def greeting(event: str) -> Any:
    def greet(step: StepContext) -> str:
        step.logger.info("Greeting step running for: %s", event)
        return f"Hello, {event}!"

    return greet


@durable_execution(plugins=[Lifecycle()])
def one_invocation(event: str, context: DurableContext) -> str:
    return context.step(greeting(event))


@durable_execution(plugins=[Lifecycle()])
def two_invocations(event: None, context: DurableContext) -> None:
    context.wait(Duration.from_seconds(2))


@durable_execution(plugins=[Attempts()])
def second_attempt(event: None, context: DurableContext) -> str:
    return context.step(fail_once, config=TWICE)


@durable_execution(plugins=[Attempts()])
def exhausted(event: None, context: DurableContext) -> None:
    context.step(fail, config=TWICE)


@durable_execution(plugins=[Changes()])
def changing(event: str, context: DurableContext) -> str:
    return context.step(greeting(event))


@durable_execution(plugins=[UpdatedOutside()])
def waiting(event: None, context: DurableContext) -> None:
    context.wait(Duration.from_seconds(2))


@durable_execution(plugins=[Operations()])
def in_child(event: str, context: DurableContext) -> str:
    return context.run_in_child_context(lambda child: child.step(greeting(event)), name="child")


@durable_execution(plugins=[Operations()])
def two_steps(event: None, context: DurableContext) -> str:
    context.step(lambda _: "a")
    return context.step(fail_once, config=TWICE)


@durable_execution(plugins=[Faulty(), Healthy()])
def beside_a_faulty_one(event: str, context: DurableContext) -> str:
    return context.step(greeting(event))


@durable_execution(plugins=[Dump()])
def dumped(event: None, context: DurableContext) -> str:
    return context.step(lambda _: "task-a", name="greet")


REQUIREMENTS = {
    "10-1": one_invocation,
    "10-3": second_attempt,
    "10-6": two_invocations,
    "10-8": changing,
    "10-9": waiting,
    "10-11": in_child,
    "10-13": two_steps,
    "10-15": exhausted,
    "10-17": beside_a_faulty_one,
    "10-20": dumped,
    "10-22": dumped,
}
