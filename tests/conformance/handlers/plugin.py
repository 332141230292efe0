"""Suite 10: plugins. See `instrument`."""

from __future__ import annotations

import logging
from typing import Any

from async_durable_execution import durable_execution, wait

from .instrument import Instrumentation, Plugin, Record
from .step import every_second, fail, fail_once, give, greet

logger = logging.getLogger(__name__)


class Lifecycle(Plugin):
    def invocation_start(self, info: Record) -> None:
        self.log("invocation-start", first=info["first"])

    def invocation_end(self, info: Record) -> None:
        self.log("invocation-end", status=info["status"])


lifecycle = Instrumentation(Lifecycle())


@durable_execution
@lifecycle.handler
async def one_invocation(event: str) -> str:
    async def body() -> str:
        logger.info("Greeting step running for: %s", event)
        return f"Hello, {event}!"

    return await lifecycle.step(body)


@durable_execution
@lifecycle.handler
async def two_invocations(event: None) -> None:
    await wait(2)


class Attempts(Plugin):
    def attempt_start(self, info: Record) -> None:
        self.log("attempt-start", n=info["attempt"], op=info["id"])

    def attempt_end(self, info: Record) -> None:
        self.log("attempt-end", n=info["attempt"], outcome=info["outcome"], op=info["id"])

    def operation_end(self, info: Record) -> None:
        self.log("operation-end", op=info["id"], status=info["status"])


attempts = Instrumentation(Attempts())


@durable_execution
@attempts.handler
async def second_attempt(event: None) -> str:
    body = fail_once(RuntimeError("not yet"), "Operation succeeded")
    return await attempts.step(body, retry_strategy=every_second(2))


@durable_execution
@attempts.handler
async def exhausted(event: None) -> None:
    await attempts.step(fail(RuntimeError("never")), retry_strategy=every_second(2))


class Changes(Plugin):
    def operation_change(self, info: Record) -> None:
        self.log(
            "operation-change", op=info["id"], status=info["status"], in_full_map=info["inFullMap"]
        )


changes = Instrumentation(Changes())


@durable_execution
@changes.handler
async def changing(event: str) -> str:
    return await changes.step(greet(event))


class UpdatedOutside(Plugin):
    def invocation_start(self, info: Record) -> None:
        for each in info["operations"]:
            if each["type"] == "WAIT":
                record = {"op": each["id"], "status": each["status"], "first": info["first"]}
                self.log("updated-on-invoke", **record)


updated_outside = Instrumentation(UpdatedOutside())


@durable_execution
@updated_outside.handler
async def waiting(event: None) -> None:
    await wait(2)


class Parents(Plugin):
    def operation_end(self, info: Record) -> None:
        parent = info.get("parentId", "NONE")
        self.log("operation-end", op=info["id"], parent=parent, status=info["status"])


parents = Instrumentation(Parents())


@durable_execution
@parents.handler
async def in_child(event: str) -> str:
    async def child() -> str:
        return await parents.step(greet(event))

    return await parents.child(child, name="child")


class Replays(Plugin):
    def operation_start(self, info: Record) -> None:
        self.log("operation-start", op=info["id"], replay=info["isReplay"])

    def operation_end(self, info: Record) -> None:
        self.log("operation-end", op=info["id"], status=info["status"])


replays = Instrumentation(Replays())


@durable_execution
@replays.handler
async def two_steps(event: None) -> str:
    await replays.step(give("a"))
    body = fail_once(RuntimeError("not yet"), "Operation succeeded")
    return await replays.step(body, retry_strategy=every_second(2))


class Faulty(Plugin):
    label = "CONFPLUGIN-FAULTY"

    def __getattr__(self, hook: str) -> Any:
        def fail(info: Record) -> None:
            self.log(hook.replace("_", "-"))
            raise RuntimeError("this plugin is at fault")

        return fail


class Healthy(Plugin):
    label = "CONFPLUGIN-HEALTHY"

    def invocation_start(self, info: Record) -> None:
        self.log("invocation-start", first=info["first"])

    def operation_start(self, info: Record) -> None:
        self.log("operation-start", op=info["id"])

    def attempt_start(self, info: Record) -> None:
        self.log("attempt-start", op=info["id"])

    def attempt_end(self, info: Record) -> None:
        self.log("attempt-end", op=info["id"], outcome=info["outcome"])

    def operation_end(self, info: Record) -> None:
        self.log("operation-end", op=info["id"], status=info["status"])

    def invocation_end(self, info: Record) -> None:
        self.log("invocation-end", status=info["status"])


isolated = Instrumentation(Faulty(), Healthy())


@durable_execution
@isolated.handler
async def beside_a_faulty_one(event: str) -> str:
    return await isolated.step(greet(event))


class Dump(Plugin):
    def operation_start(self, info: Record) -> None:
        self.log("operation-start", **info)

    def operation_end(self, info: Record) -> None:
        self.log("operation-end", **info)

    def operation_change(self, info: Record) -> None:
        self.log("operation-change", **info)


dump = Instrumentation(Dump())


@durable_execution
@dump.handler
async def dumped(event: None) -> str:
    return await dump.step(give("task-a"), name="greet")


CASES = {
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
