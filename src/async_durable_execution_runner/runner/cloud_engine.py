"""What both cloud runners do, written once: executions and callbacks, and records of executions
that are put together from Lambda's answers.
"""

# ruff: noqa: ASYNC109 - a time-out ends in an error that says what was waited for.

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..aws import history
from ..aws.api import Client, Clock, LambdaApi, make_client
from ..client.settings import Seconds, seconds
from ..core import model, shapes
from ..errors import NotStarted, OperationNotFound, ResourceNotFound, RunnerError
from ..results.records import ExecutionRecord, InvocationRecord
from ..results.result import DurableFunctionTestResult
from . import suite
from .payloads import callback_payload, error_object, payload_of

if TYPE_CHECKING:
    from ..client.control import Until

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

_FIRST_POLL = 0.1
#: Seconds until an execution that was started is known, and until its history is all there.
SETTLING = 30.0
_UNKNOWN_YET = "Lambda to know it: it was started, but is not found yet"
_HISTORY_CUT = f"the rest of its history: the end was not in it {SETTLING:g} s after it had ended"


@dataclass(frozen=True, slots=True)
class _Start:
    function_name: str
    payload: str
    name: str
    tenant_id: str | None


class CloudEngine:
    """`engine.Engine`'s counterpart for functions that are deployed.

    The coroutines suspend only in `LambdaApi`, and so not at all where that one blocks.
    """

    def __init__(
        self,
        function_name: str,
        region: str | None,
        lambda_endpoint: str | None,
        client: Client | None,
        poll_interval: Seconds,
        clock: Clock,
        in_threads: bool,
    ) -> None:
        if client is not None and (region or lambda_endpoint):
            raise ValueError("Give client=, or region= and lambda_endpoint=, not both.")
        self.function_name = function_name
        self._region, self._endpoint = region, lambda_endpoint
        self._client = client
        self._clock = clock
        self._in_threads = in_threads
        self._poll_interval = seconds(poll_interval)
        self._api: LambdaApi | None = None
        #: When each execution was started here.
        self._started: dict[str, float] = {}
        self._last_arn: str | None = None
        #: Ids of callbacks that were handed out, and of those that were answered.
        self._disclosed: set[str] = set()
        self._answered: set[str] = set()

    def open(self) -> None:
        client = self._client or make_client(self._region, self._endpoint)
        self._api = LambdaApi(client, self._clock, in_threads=self._in_threads)

    def close(self) -> None:
        api, self._api = self._api, None
        if api is not None and self._client is None:
            api.client.close()

    @property
    def _lambda(self) -> LambdaApi:
        if self._api is None:
            raise NotStarted(
                "The runner is not open: use it in a `with` (or `async with`) block, or open() it."
            )
        return self._api

    # -- executions ------------------------------------------------------------------------

    def start_of(
        self,
        input: object,
        execution_name: str | None,
        payload: str | None,
        function_name: str | None,
        tenant_id: str | None,
    ) -> _Start:
        if payload is not None and input is not None:
            raise ValueError("Give input= or payload=, not both.")
        return _Start(
            function_name or self.function_name,
            payload_of(input) if payload is None else payload,
            execution_name or str(uuid.uuid4()),
            tenant_id,
        )

    async def start(self, start: _Start) -> str:
        arn = await self._lambda.invoke(
            start.function_name, start.payload, start.name, start.tenant_id
        )
        self._started[arn] = self._clock.time()
        self._last_arn = arn
        return arn

    async def run(self, start: _Start, timeout: Seconds) -> DurableFunctionTestResult:
        deadline = self._clock.time() + seconds(timeout)
        arn = await self.start(start)
        return await self._wait(arn, "ended", seconds(timeout), deadline)

    async def run_many(
        self, starts: Sequence[_Start], timeout: Seconds
    ) -> list[DurableFunctionTestResult]:
        deadline = self._clock.time() + seconds(timeout)
        arns = [await self.start(start) for start in starts]
        return [await self._wait(arn, "ended", seconds(timeout), deadline) for arn in arns]

    async def wait(
        self, execution: object, until: Until, timeout: Seconds
    ) -> DurableFunctionTestResult:
        """The result when the execution has ended, when its history says that it is suspended, or
        as it is "now"."""
        limit = seconds(timeout)
        return await self._wait(self._arn_of(execution), until, limit, self._clock.time() + limit)

    async def _wait(
        self, arn: str, until: Until, limit: float, deadline: float
    ) -> DurableFunctionTestResult:
        pause = _Pause(self._clock, self._poll_interval, deadline)
        while True:
            head = await self._head(arn)
            late = self._clock.time() >= deadline
            ended = head is not None and head["Status"] != model.ExecutionStatus.RUNNING.value
            if ended or late or until != "ended":
                record = await self._record(arn, head)
                if ended or until == "now" or (until == "suspended" and _suspended(record)):
                    result = DurableFunctionTestResult(record)
                    suite.saw(result)
                    return result
            if late:
                verb = {"ended": "end", "suspended": "suspend", "now": "answer"}[until]
                result = DurableFunctionTestResult(record)
                suite.saw(result)
                raise TimeoutError(
                    f"The execution did not {verb} within {limit:g} s; it waits for "
                    f"{record.waiting_for}.\n\n{result}"
                )
            await pause.take()

    async def stop(self, execution: object, error: object) -> None:
        given = error_object(error)
        shape = None if given is None else shapes.ERROR.to_json(given)
        await self._lambda.stop(self._arn_of(execution), shape)

    async def advance(self, duration: Seconds, execution: object, timeout: Seconds) -> None:
        raise RunnerError("Time cannot be advanced on Lambda: it passes by itself.")

    def _arn_of(self, execution: object) -> str:
        """The ARN in an ARN, a handle or a result; for None that of the execution started last."""
        if execution is None:
            if self._last_arn is None:
                raise NotStarted("No execution was started yet: call start() or run() first.")
            return self._last_arn
        arn = execution if isinstance(execution, str) else getattr(execution, "execution_arn", None)
        if not isinstance(arn, str):
            raise TypeError(f"An execution's ARN, handle or result is needed, not {execution!r}.")
        return arn

    # -- callbacks -------------------------------------------------------------------------

    async def wait_for_callback(self, execution: object, name: str | None, timeout: Seconds) -> str:
        """The id of an open callback, if there are several of one that was not handed out yet.

        A callback that somebody else has completed, or that has timed out, is found by its name
        only.
        """
        if isinstance(execution, str) and name is None and not execution.startswith("arn:"):
            execution, name = None, execution
        arn, limit = self._arn_of(execution), seconds(timeout)
        deadline = self._clock.time() + limit
        pause = _Pause(self._clock, self._poll_interval, deadline)
        wanted = f"callback {name!r}" if name else "callback"
        while True:
            # The head is asked for first: where it says that the execution has ended, all
            # callbacks are in the history.
            record = await self._record(arn, await self._head(arn))
            callback_id = self._find_callback(record.operations, name)
            if callback_id is not None:
                self._disclosed.add(callback_id)
                return callback_id
            state = DurableFunctionTestResult(record)
            if record.status is not model.ExecutionStatus.RUNNING:
                raise OperationNotFound(
                    f"No {wanted} will come: the execution has ended, {record.status.value}."
                    f"\n\n{state}"
                )
            if self._clock.time() >= deadline:
                no_callback = record.no_callback(name, limit)
                raise TimeoutError(f"{no_callback}{record.waiting_for}.\n\n{state}")
            await pause.take()

    def _find_callback(self, operations: Sequence[model.Operation], name: str | None) -> str | None:
        names = {operation.id: operation.name for operation in operations}
        found = [
            operation
            for operation in operations
            if operation.type is model.OperationType.CALLBACK
            # The history may not know yet that it was answered.
            and operation.callback_id not in self._answered
            and (not name or name in (operation.name, names.get(operation.parent_id or "")))
        ]
        still_open = [each for each in found if not each.status.is_terminal]
        if still_open:
            return min(still_open, key=lambda each: each.callback_id in self._disclosed).callback_id
        return found[-1].callback_id if name and found else None

    async def callback_success(self, callback_id: str, result: object) -> None:
        await self._lambda.callback_success(callback_id, callback_payload(result))
        self._answered.add(callback_id)

    async def callback_failure(self, callback_id: str, error: object) -> None:
        failure = error_object(error) or model.ErrorObject()
        await self._lambda.callback_failure(callback_id, shapes.ERROR.to_json(failure))
        self._answered.add(callback_id)

    async def callback_heartbeat(self, callback_id: str) -> None:
        await self._lambda.callback_heartbeat(callback_id)

    # -- records ---------------------------------------------------------------------------

    async def _head(self, arn: str) -> dict[str, Any] | None:
        """What Lambda says of an execution; None where the execution was started here so lately
        that Lambda need not know it yet."""
        try:
            return await self._lambda.execution(arn)
        except ResourceNotFound:
            if not self._is_new(arn):
                raise
            return None

    def _is_new(self, arn: str) -> bool:
        started = self._started.get(arn)
        return started is not None and self._clock.time() < started + SETTLING

    async def _record(self, arn: str, head: dict[str, Any] | None) -> ExecutionRecord:
        if head is None:
            status = model.ExecutionStatus.RUNNING
            return ExecutionRecord(arn, status, waiting_for=_UNKNOWN_YET)
        running = head["Status"] == model.ExecutionStatus.RUNNING.value
        deadline = self._clock.time() + SETTLING
        pause = _Pause(self._clock, self._poll_interval, deadline)
        while True:
            try:
                events = history.read_events(await self._lambda.history(arn))
            except ResourceNotFound:
                if not self._is_new(arn):
                    raise
                events = []
            whole = running or any(event.type in history.ENDS for event in events)
            if whole or self._clock.time() >= deadline:
                return execution_record(head, events, "" if whole else _HISTORY_CUT)
            await pause.take()


class _Pause:
    """The pause between two questions: it is short at first, and never goes beyond the deadline."""

    def __init__(self, clock: Clock, longest: float, deadline: float) -> None:
        self._clock = clock
        self._longest = longest
        self._deadline = deadline
        self._next = min(_FIRST_POLL, longest)

    async def take(self) -> None:
        await self._clock.sleep(max(0.0, min(self._next, self._deadline - self._clock.time())))
        self._next = min(2 * self._next, self._longest)


def execution_record(
    head: dict[str, Any], events: Sequence[model.HistoryEvent], waiting_for: str = ""
) -> ExecutionRecord:
    """The record of what GetDurableExecution and GetDurableExecutionHistory have answered."""
    status = model.ExecutionStatus(head["Status"])
    operations = history.operations(events)
    if status is model.ExecutionStatus.RUNNING:
        waiting_for = history.waiting_for(operations)
    error = shapes.ERROR.from_json(head["Error"]) if "Error" in head else None
    if operations and operations[0].type is model.OperationType.EXECUTION:
        # The history may have cut what is large.
        operations[0] = replace(
            operations[0],
            input=head.get("InputPayload", operations[0].input),
            result=head.get("Result"),
            error=error,
        )
    return ExecutionRecord(
        execution_arn=head["DurableExecutionArn"],
        status=status,
        execution_name=head["DurableExecutionName"],
        function_name=head["FunctionArn"].split(":")[6],
        start_ms=history.milliseconds(head["StartTimestamp"]),
        end_ms=history.milliseconds(head["EndTimestamp"]) if "EndTimestamp" in head else None,
        result=head.get("Result"),
        error=error,
        waiting_for=waiting_for,
        operations=operations,
        events=events,
        invocations=_invocations(status, events),
        children=[event.execution_arn for event in events if event.execution_arn],
    )


def _invocations(
    status: model.ExecutionStatus, events: Sequence[model.HistoryEvent]
) -> list[InvocationRecord]:
    ended = [event for event in events if event.type is model.EventType.INVOCATION_COMPLETED]
    last = {"SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED"}.get(status.value, "PENDING")
    return [
        InvocationRecord(
            event.request_id or "",
            start_ms=event.start_ms or 0,
            end_ms=event.end_ms,
            outcome="ERROR" if event.error else last if event is ended[-1] else "PENDING",
            error=event.error,
        )
        for event in ended
    ]


def _suspended(record: ExecutionRecord) -> bool:
    """Whether nothing has happened since an invocation ended that was not to be repeated."""
    last = record.events[-1] if record.events else None
    return (
        last is not None
        and last.type is model.EventType.INVOCATION_COMPLETED
        and last.error is None
    )
