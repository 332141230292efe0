"""The control service as a runner calls it: plain data in, plain data and our errors out."""

# ruff: noqa: ASYNC109 - a gRPC deadline goes with the call; `asyncio.timeout` cannot set it.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import grpc

from .core import model
from .functions import DEFAULT_MEMORY_MB, FunctionSettings, Isolation
from .results import ExecutionRecord, InvocationRecord
from .rpc import codec
from .rpc.v1 import control_pb2 as pb
from .rpc.v1 import model_pb2, worker_pb2
from .transport import ANSWER_TIMEOUT, ChannelClosed, Transport, raised

#: Seconds beyond the server's own deadline until it counts as frozen.
GRACE = 10.0

_ISOLATION = {
    Isolation.WORKER: pb.ISOLATION_WORKER,
    Isolation.EXECUTION: pb.ISOLATION_EXECUTION,
    Isolation.INVOCATION: pb.ISOLATION_INVOCATION,
    Isolation.INLINE: pb.ISOLATION_INLINE,
}
Until = Literal["ended", "suspended", "now"]
_UNTIL: dict[Until, pb.AwaitUntil] = {
    "ended": pb.AWAIT_UNTIL_ENDED,
    "suspended": pb.AWAIT_UNTIL_SUSPENDED,
    "now": pb.AWAIT_UNTIL_NOW,
}


@dataclass(frozen=True, slots=True)
class Start:
    """What an execution is started with; without a name it is given one."""

    function: str
    payload: str
    name: str = ""
    skip_time: bool = True
    tenant_id: str | None = None


@dataclass(frozen=True, slots=True)
class HostStatus:
    host_id: str
    pid: int
    slots: int


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """`request_id` is empty while it is idle; `pid` is the test's own for an inline worker."""

    worker_id: str
    host_id: str
    pid: int
    request_id: str


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """The coordinator (`pid` is its own) and all that is connected to it, for all runners."""

    pid: int
    hosts: Sequence[HostStatus]
    workers: Sequence[WorkerStatus]
    executions: int
    queued_invocations: int
    #: Why workers cannot be started, where that is so.
    trouble: str


class ControlClient:
    """What runners ask of the coordinator. Times are in seconds."""

    def __init__(
        self,
        transport: Transport,
        workspace_id: str,
        unavailable: Callable[[str, str], Exception],
    ) -> None:
        """`unavailable` makes the error for a call that failed itself, from what failed and
        what gRPC says of it; it may block."""
        self.transport = transport
        self.workspace_id = workspace_id
        self._unavailable = unavailable

    async def register(
        self,
        name: str,
        code: worker_pb2.FunctionCode | str,
        *,
        durable: bool,
        settings: FunctionSettings,
    ) -> str:
        """The function's id. `code` is from `loading.describe`, or an inline function's key."""
        config = worker_pb2.FunctionConfig(
            name=name,
            durable=durable,
            timeout_seconds=settings.invocation_timeout,
            memory_mb=settings.memory or DEFAULT_MEMORY_MB,
            enforce_memory=settings.memory is not None,
            environment=settings.env,
        )
        request = pb.RegisterFunctionRequest(
            workspace_id=self.workspace_id,
            config=config,
            code=worker_pb2.FunctionCode(inline_key=code) if isinstance(code, str) else code,
            isolation=_ISOLATION[settings.isolation],
            execution_timeout_seconds=settings.execution_timeout,
        )
        answer = await self._call("RegisterFunction", request)
        function_id: str = answer[0].function_id
        return function_id

    async def start(self, start: Start, *, hold_time: bool = False) -> str:
        """The execution's ARN. With `hold_time`, nothing is skipped until its end is awaited."""
        request = self._start_request(start)
        request.hold_time = hold_time
        arn: str = (await self._call("StartExecution", request))[0].execution_arn
        return arn

    async def run(self, start: Start, timeout: float) -> ExecutionRecord:
        """Start it and wait for its end; the record may be `timed_out`."""
        request = pb.RunExecutionRequest(start=self._start_request(start), timeout_ms=_ms(timeout))
        return _record(await self._call("RunExecution", request, timeout))

    async def wait(self, arn: str, until: Until, timeout: float) -> ExecutionRecord:
        """The record as soon as `until` holds; after `timeout`, one that is `timed_out`."""
        request = pb.AwaitExecutionRequest(
            execution_arn=arn, until=_UNTIL[until], timeout_ms=_ms(timeout)
        )
        return _record(await self._call("AwaitExecution", request, timeout))

    async def wait_for_callback(
        self, arn: str, name: str | None, timeout: float
    ) -> tuple[str, str, model.ExecutionStatus]:
        """The callback's id; or "", what the execution waits for instead, and its status."""
        request = pb.AwaitCallbackRequest(
            execution_arn=arn, name=name or "", timeout_ms=_ms(timeout)
        )
        (answer,) = await self._call("AwaitCallback", request, timeout)
        status = codec.execution_status_from_proto(answer.status or 1)
        return answer.callback_id, answer.waiting_for, status

    async def callback_success(self, callback_id: str, result: str | None) -> None:
        success = pb.CallbackSuccess(result=result)
        await self._complete(pb.CompleteCallbackRequest(callback_id=callback_id, success=success))

    async def callback_failure(self, callback_id: str, error: model.ErrorObject) -> None:
        failure = pb.CallbackFailure(error=codec.error_to_proto(error))
        await self._complete(pb.CompleteCallbackRequest(callback_id=callback_id, failure=failure))

    async def callback_heartbeat(self, callback_id: str) -> None:
        beat = pb.CallbackHeartbeat()
        await self._complete(pb.CompleteCallbackRequest(callback_id=callback_id, heartbeat=beat))

    async def stop(self, arn: str, error: model.ErrorObject | None) -> None:
        message = codec.error_to_proto(error) if error is not None else None
        request = pb.StopExecutionRequest(execution_arn=arn, error=message)
        await self._call("StopExecution", request)

    async def advance(self, arn: str | None, duration: float, timeout: float) -> None:
        """Move the clock of one execution, or of all; `TimeoutError`."""
        request = pb.AdvanceTimeRequest(
            execution_arn=arn or "", workspace_id=self.workspace_id, duration_ms=_ms(duration)
        )
        try:
            await self.transport.call("AdvanceTime", request, timeout)
        except (grpc.RpcError, ChannelClosed) as error:
            # The server sets no limit of its own here.
            if getattr(error, "code", str)() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError(
                    f"Time was advanced, but what fell due was not done within {timeout:g} s."
                ) from None
            raise await self._translated("AdvanceTime", error, timeout) from error

    async def status(self) -> RunnerStatus:
        answer: pb.GetStatusResponse = (await self._call("GetStatus", pb.GetStatusRequest()))[0]
        return RunnerStatus(
            pid=answer.pid,
            hosts=[HostStatus(each.host_id, each.pid, each.slots) for each in answer.hosts],
            workers=[
                WorkerStatus(each.worker_id, each.host_id, each.pid, each.request_id)
                for each in answer.workers
            ],
            executions=answer.executions,
            queued_invocations=answer.queued_invocations,
            trouble=answer.trouble,
        )

    async def _complete(self, request: pb.CompleteCallbackRequest) -> None:
        await self._call("CompleteCallback", request)

    def _start_request(self, start: Start) -> pb.StartExecutionRequest:
        return pb.StartExecutionRequest(
            workspace_id=self.workspace_id,
            function_name=start.function,
            payload=start.payload,
            execution_name=start.name,
            skip_time=start.skip_time,
            tenant_id=start.tenant_id,
        )

    async def _call(self, method: str, request: Any, wait: float | None = None) -> list[Any]:
        timeout = ANSWER_TIMEOUT if wait is None else wait + GRACE
        try:
            return await self.transport.call(method, request, timeout)
        except (grpc.RpcError, ChannelClosed) as error:
            raise await self._translated(method, error, timeout) from None

    async def _translated(self, method: str, error: Any, timeout: float) -> Exception:
        known = None if isinstance(error, ChannelClosed) else raised(error)
        if known is not None:
            return known
        what, detail = f"The coordinator was lost before {method}", ""
        if not isinstance(error, ChannelClosed):
            what, detail = f"The coordinator was lost during {method}", error.details()
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                what = f"The coordinator did not answer {method} within {timeout:g} seconds"
        return await self.transport.blocking(lambda: self._unavailable(what, detail))


def _ms(length: float) -> int:
    return round(length * 1000)


def _record(answers: list[Any]) -> ExecutionRecord:
    head: pb.ExecutionHead = answers[0].page.head
    pages: list[pb.ExecutionPage] = [answer.page for answer in answers]
    return ExecutionRecord(
        execution_arn=head.execution_arn,
        execution_name=head.execution_name,
        function_name=head.function_name,
        status=codec.execution_status_from_proto(head.status),
        start_ms=head.start_ms,
        end_ms=head.end_ms if head.HasField("end_ms") else None,
        result=head.result if head.HasField("result") else None,
        error=_error(head),
        timed_out=head.timed_out,
        waiting_for=head.waiting_for,
        operations=[codec.operation_from_proto(op) for page in pages for op in page.operations],
        events=[codec.event_from_proto(event) for page in pages for event in page.events],
        invocations=[_invocation(each) for page in pages for each in page.invocations],
    )


def _invocation(message: pb.InvocationRecord) -> InvocationRecord:
    return InvocationRecord(
        request_id=message.request_id,
        worker_id=message.worker_id,
        pid=message.pid,
        start_ms=message.start_ms,
        end_ms=message.end_ms if message.HasField("end_ms") else None,
        outcome=message.outcome,
        error=_error(message),
        output=tuple(codec.line_from_proto(line) for line in message.output),
        output_truncated=message.output_truncated,
    )


def _error(message: pb.ExecutionHead | pb.InvocationRecord) -> model.ErrorObject | None:
    if not message.HasField("error"):
        return None
    error: model_pb2.ErrorObject = message.error
    return codec.error_from_proto(error)
