"""`ChainedInvokes`: resolves chained invokes, starts what they invoke, and tells the caller of the
end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from ..core import events as ev
from ..core.commands import InvokeFunction
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
from .leases import Leases
from .runs import Call, Run
from .timekeeper import Timekeeper
from .workers import Function

#: Real seconds that an invocation has to suspend before it is told of the end of a chained invoke.
_REST_SECONDS = 0.1
#: The same time with faults and in exploration, where each run has to go the same way even on a
#: busy machine.
_SURE_REST_SECONDS = 3.0
_ENDED_AS = {
    ExecutionStatus.SUCCEEDED: OperationStatus.SUCCEEDED,
    ExecutionStatus.FAILED: OperationStatus.FAILED,
    ExecutionStatus.TIMED_OUT: OperationStatus.TIMED_OUT,
    ExecutionStatus.STOPPED: OperationStatus.STOPPED,
}


class ChainedInvokes:
    def __init__(
        self,
        leases: Leases,
        timekeeper: Timekeeper,
        new_arn: Callable[[Function], str],
        start: Callable[[Run, InvokeFunction, Function, str], None],
        feed: Callable[[Run, ev.Event], object],
    ) -> None:
        """Make the part of an executor that carries out chained invokes.

        Args:
            leases: Where invocations of plain functions are submitted.
            timekeeper: The clocks that have to know of the invokes under way.
            new_arn: Makes the ARN of a new execution of a function.
            start: Starts an execution for a command of its parent, under an ARN of `new_arn`.
            feed: Takes an execution one turn further.
        """
        self._leases = leases
        self._timekeeper = timekeeper
        self._new_arn = new_arn
        self._start = start
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._telling: set[asyncio.Task[None]] = set()

    def targets(
        self, run: Run, updates: Iterable[OperationUpdate]
    ) -> dict[str, ev.ChainedTarget | ErrorObject]:
        """Find the functions that the updates invoke in a chain, by operation id.

        The value is an error where there is no such function.
        """
        found = {}
        for update in updates:
            if (
                update.type is OperationType.CHAINED_INVOKE
                and update.action is OperationAction.START
            ):
                found[update.id] = self._target(run, update.function_name or "")
        return found

    def _target(self, run: Run, function_name: str) -> ev.ChainedTarget | ErrorObject:
        try:
            function = run.workspace.find(function_name)
        except ResourceNotFound as error:
            return ErrorObject(error.message, error.code)
        arn = self._new_arn(function) if function.durable else None
        return ev.ChainedTarget(function.version, arn)

    def begin(self, run: Run, command: InvokeFunction) -> None:
        """Invoke the function of `command`, after this turn of `run`."""
        # The function is found in the checkpoint's own turn: it might be registered anew before
        # the next turn.
        function = run.workspace.find(command.function_name)
        self._loop.call_soon(self._invoke, run, command, function)
        run.family.pending_calls += 1

    def _invoke(self, run: Run, command: InvokeFunction, function: Function) -> None:
        if run.arn not in run.workspace.runs:
            return
        run.family.pending_calls -= 1
        if run.execution.ended:
            self._timekeeper.settle(run.family)
            return
        if not function.durable:
            call = Call(run, command.operation_id, function, command.payload, command.tenant_id)
            run.family.calls += 1
            self._leases.submit(call, function, "")
            self._leases.pool.dispatch()
            return
        started = next(
            event
            for event in reversed(run.execution.history)
            if event.id == command.operation_id and event.execution_arn
        )
        assert started.execution_arn is not None
        self._start(run, command, function, started.execution_arn)

    def call_ended(self, call: Call, outcome: str | ErrorObject) -> None:
        """Tell the caller that a plain function returned, or failed."""
        run = call.parent
        run.family.calls -= 1
        status, result, error = OperationStatus.SUCCEEDED, None, None
        if isinstance(outcome, ErrorObject):
            status, error = OperationStatus.FAILED, outcome
        else:
            result = outcome
        self._tell(run, call.operation_id, status, result, error)

    def child_ended(self, run: Run, status: ExecutionStatus) -> None:
        """Tell the parent, if `run` was invoked in a chain, that the execution has ended."""
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
        """Tell `run` of the end, once its own invocation rests or has had the time to rest.

        On Lambda an invoked function takes longer than its caller takes to suspend.
        """

        async def tell() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not at_rest():
                        await run.watch(at_rest)
            run.family.pending_calls -= 1
            if run.arn in run.workspace.runs:
                self._feed(run, ev.ChainedInvokeEnded(run.now, operation_id, status, result, error))

        def at_rest() -> bool:
            return run.lease is None or run.execution.ended

        seconds = _REST_SECONDS if run.injection is None else _SURE_REST_SECONDS
        # No time is skipped until the run has been told.
        run.family.pending_calls += 1
        telling = self._loop.create_task(tell())
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)
