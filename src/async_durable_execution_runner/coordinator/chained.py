"""Chained invokes: what a CHAINED_INVOKE resolves to, what is started for it, and how its end
comes back to whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..core import events as ev
from ..core.commands import InvokeFunction
from ..core.limits import CHAINED_BYTES
from ..core.model import (
    ErrorObject,
    ExecutionStatus,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from ..core.operations import chained_invoke
from ..errors import ResourceNotFound
from .runs import Call, Run
from .workers import Function

if TYPE_CHECKING:
    from .executor import Executor

#: Real seconds that an invocation has to suspend before it is told of the end of a chained invoke.
_REST_SECONDS = 0.1
#: The same with faults and in exploration: each run is to go the same way, on a busy machine too.
_SURE_REST_SECONDS = 3.0
_ENDED_AS = {
    ExecutionStatus.SUCCEEDED: OperationStatus.SUCCEEDED,
    ExecutionStatus.FAILED: OperationStatus.FAILED,
    ExecutionStatus.TIMED_OUT: OperationStatus.TIMED_OUT,
    ExecutionStatus.STOPPED: OperationStatus.STOPPED,
}


class ChainedInvokes:
    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._telling: set[asyncio.Task[None]] = set()

    def targets(
        self, run: Run, updates: Iterable[OperationUpdate]
    ) -> dict[str, ev.ChainedTarget | ErrorObject]:
        """What those of the updates that begin a chained invoke resolve to, by operation id."""
        return {
            update.id: self._target(run, update.function_name or "")
            for update in updates
            if update.type is OperationType.CHAINED_INVOKE
            and update.action is OperationAction.START
        }

    def _target(self, run: Run, function_name: str) -> ev.ChainedTarget | ErrorObject:
        try:
            function = run.workspace.find(function_name)
        except ResourceNotFound as error:
            return ErrorObject(error.message, error.code)
        executor = self._executor
        arn = executor.new_arn(function, executor.new_id()) if function.durable else None
        return ev.ChainedTarget(function.version, arn)

    def begin(self, run: Run, command: InvokeFunction) -> None:
        """Invoke it, after this turn of `run`."""
        # Found in the checkpoint's own turn: it might be registered anew before the next.
        function = run.workspace.find(command.function_name)
        self._loop.call_soon(self._invoke, run, command, function)
        run.family.pending_calls += 1

    def _invoke(self, run: Run, command: InvokeFunction, function: Function) -> None:
        executor = self._executor
        if run.arn not in executor.runs:
            return
        run.family.pending_calls -= 1
        if run.execution.ended:
            executor.timekeeper.settle(run.family)
            return
        if not function.durable:
            call = Call(run, command.operation_id, function, command.payload, command.tenant_id)
            run.family.calls += 1
            executor.leases.submit(call, function, "")
            return
        started = next(
            event
            for event in reversed(run.execution.history)
            if event.id == command.operation_id and event.execution_arn
        )
        arn = started.execution_arn
        assert arn is not None
        child = executor.new_run(
            run.workspace, function, arn, arn.split("/")[-2], run.family, result_bytes=CHAINED_BYTES
        )
        child.parent = (run, command.operation_id)
        child.tenant_id = command.tenant_id
        executor.feed(child, ev.Started(child.now, command.payload))

    def call_ended(self, call: Call, outcome: str | ErrorObject) -> None:
        """A plain function returned, or failed."""
        run = call.parent
        run.family.calls -= 1
        status, result, error = OperationStatus.SUCCEEDED, None, None
        if isinstance(outcome, ErrorObject):
            status, error = OperationStatus.FAILED, outcome
            if call.record is not None:
                call.record.error = outcome
        else:
            result = outcome
        self._tell(run, call.operation_id, status, result, error)

    def child_ended(self, run: Run, status: ExecutionStatus) -> None:
        """An execution that may have been invoked in a chain: whoever did is told, afterwards."""
        if run.parent is None:
            return
        parent, operation_id = run.parent
        root = run.execution.root
        error = root.error
        if status is ExecutionStatus.TIMED_OUT:
            error = chained_invoke.timed_out(run.function.execution_timeout_seconds)
        self._tell(parent, operation_id, _ENDED_AS[status], root.result, error)

    def _tell(
        self,
        run: Run,
        operation_id: str,
        status: OperationStatus,
        result: str | None,
        error: ErrorObject | None,
    ) -> None:
        """Tell `run` of the end, once its own invocation rests or has had the time to: what is
        invoked in a chain takes longer on Lambda than whoever asked takes to suspend."""

        async def tell() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not at_rest():
                        await run.watch(at_rest)
            run.family.pending_calls -= 1
            self._executor.feed_if_open(
                run, ev.ChainedInvokeEnded(run.now, operation_id, status, result, error)
            )

        def at_rest() -> bool:
            return run.lease is None or run.execution.ended

        seconds = _REST_SECONDS if run.injection is None else _SURE_REST_SECONDS
        # Until then no time is to be skipped.
        run.family.pending_calls += 1
        telling = self._loop.create_task(tell())
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)
