"""An execution, its clock and its worker: what the transcripts in this directory speak to.

`Machine` plays the executor (lets time pass before each event, as `Execution.handle`
wants it) and the worker (keeps the newest token, and what it was told of the state).
"""

from __future__ import annotations

import copy
from typing import Any

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.commands import Command, Deliver, Reply
from async_durable_execution_runner.core.execution import Execution, ExecutionConfig
from async_durable_execution_runner.core.model import (
    ErrorObject,
    HistoryEvent,
    Operation,
    OperationAction,
    OperationType,
    OperationUpdate,
)

EXECUTION = OperationType.EXECUTION
CONTEXT = OperationType.CONTEXT
STEP = OperationType.STEP
WAIT = OperationType.WAIT
CALLBACK = OperationType.CALLBACK
CHAINED_INVOKE = OperationType.CHAINED_INVOKE

ROOT = "0a1b2c3d"
ARN = f"arn:aws:lambda:eu-west-1:123456789012:function:order:1/durable-execution/o-1/{ROOT}"
T0 = 1_750_000_000_000
BOOM = ErrorObject("it broke", "Boom")

#: What an update must have beside type, action and id.
REQUIRED: dict[tuple[OperationType, OperationAction], dict[str, Any]] = {
    (STEP, OperationAction.RETRY): {"next_attempt_delay_seconds": 5},
    (WAIT, OperationAction.START): {"wait_seconds": 60},
    (CHAINED_INVOKE, OperationAction.START): {"function_name": "ship"},
}


def update(
    type: OperationType, action: OperationAction, id: str = "op", **fields: Any
) -> OperationUpdate:
    return OperationUpdate(id, type, action, **(REQUIRED.get((type, action), {}) | fields))


def start(type: OperationType, id: str = "op", **fields: Any) -> OperationUpdate:
    return update(type, OperationAction.START, id, **fields)


def succeed(type: OperationType, id: str = "op", **fields: Any) -> OperationUpdate:
    return update(type, OperationAction.SUCCEED, id, **fields)


def fail(type: OperationType, id: str = "op", **fields: Any) -> OperationUpdate:
    return update(type, OperationAction.FAIL, id, **fields)


def retry(id: str = "op", **fields: Any) -> OperationUpdate:
    return update(STEP, OperationAction.RETRY, id, **fields)


def cancel(id: str = "op", **fields: Any) -> OperationUpdate:
    return update(WAIT, OperationAction.CANCEL, id, **fields)


class Machine:
    """Starts its execution at once. `commands` are those of the last event."""

    def __init__(
        self,
        *,
        payload: str = "{}",
        timeout_seconds: int = 100_000_000,
        retries: int = 2,
        backoff_ms: int = 1000,
        **config: Any,
    ) -> None:
        self.execution = Execution(
            ExecutionConfig(
                ARN, "o-1", "order", timeout_seconds * 1000, retries, backoff_ms, **config
            )
        )
        self.now_ms = T0
        self.token = ""
        self.request_id = ""
        #: The state as the worker knows it.
        self.seen: dict[str, Operation] = {}
        self.commands = self.send(ev.Started, payload=payload)

    def send(self, event: type[Any], **fields: Any) -> list[Command]:
        timer = self.execution.next_timer()
        commands: list[Command] = []
        if timer and timer[1] <= self.now_ms:
            commands += self.execution.handle(ev.TimePassed(self.now_ms))
        self.commands = commands + self.execution.handle(event(now_ms=self.now_ms, **fields))
        return self.commands

    def pass_time(self, seconds: float) -> list[Command]:
        self.now_ms += int(seconds * 1000)
        self.commands = self.execution.handle(ev.TimePassed(self.now_ms))
        return self.commands

    def invoke(self) -> Deliver:
        """A worker gets the lease."""
        number = int(self.request_id.removeprefix("request-") or 0) + 1
        self.request_id = f"request-{number}"
        *_, deliver = self.send(
            ev.InvocationStarted, request_id=self.request_id, seed=f"seed-{number}"
        )
        assert isinstance(deliver, Deliver)
        self.token = deliver.token
        self.seen = {operation.id: operation for operation in deliver.operations}
        return deliver

    def checkpoint(self, *updates: OperationUpdate, **fields: Any) -> Reply:
        request = {"token": self.token, "updates": updates} | fields
        *_, reply = self.send(ev.Checkpoint, **request)
        assert isinstance(reply, Reply)
        self.token = reply.token or ""
        self.seen |= {operation.id: operation for operation in reply.operations}
        return reply

    def returns(
        self, outcome: ev.Outcome, result: str | None = None, error: ErrorObject | None = None
    ) -> list[Command]:
        return self.send(
            ev.InvocationReturned,
            request_id=self.request_id,
            outcome=outcome,
            result=result,
            error=error,
        )

    def suspends(self) -> list[Command]:
        return self.returns(ev.Outcome.PENDING)

    def fails(self, error: ErrorObject = BOOM) -> list[Command]:
        """The invocation itself fails: its worker died, say."""
        return self.send(ev.InvocationFailed, request_id=self.request_id, error=error)

    def op(self, id: str = "op") -> Operation:
        return self.execution.operations[id]

    @property
    def events(self) -> list[str]:
        """The history, by the service's names."""
        return [event.type.value for event in self.execution.history]

    @property
    def last_event(self) -> HistoryEvent:
        return self.execution.history[-1]

    def snapshot(self) -> dict[str, Any]:
        """All that an execution remembers, private parts too; comparable."""
        return copy.deepcopy(self.memory())

    def memory(self) -> dict[str, Any]:
        return vars(self.execution) | vars(self.execution._state) | {"_state": None}


def invoked(*updates: OperationUpdate, **config: Any) -> Machine:
    """An execution in its first invocation, after one checkpoint of `updates`."""
    machine = Machine(**config)
    machine.invoke()
    if updates:
        machine.checkpoint(*updates)
    return machine
