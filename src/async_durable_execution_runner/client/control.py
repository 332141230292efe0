"""The control service as a runner calls it: plain data in, plain data and this package's errors
out."""

# ruff: noqa: ASYNC109 - a gRPC deadline goes with the call; `asyncio.timeout` cannot set it.

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc

from ..core import model
from ..results.records import ExecutionRecord
from ..rpc import codec
from ..rpc.v1 import control_pb2 as pb
from ..rpc.v1 import worker_pb2
from .functions import registration
from .pages import record_of
from .settings import FunctionSettings
from .transport import ANSWER_TIMEOUT, ChannelClosed, Transport, error_named, raised

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

#: Seconds beyond the server's own deadline after which the server counts as frozen.
GRACE = 10.0

#: Beyond this, the inputs of one `run_each` go in several messages: protobuf ends at 2 GiB, and
#: whoever reads a message does nothing else meanwhile.
_MESSAGE_BYTES = 64 * 1024 * 1024

Until = Literal["ended", "suspended", "now"]
_UNTIL: dict[Until, pb.AwaitUntil] = {
    "ended": pb.AWAIT_UNTIL_ENDED,
    "suspended": pb.AWAIT_UNTIL_SUSPENDED,
    "now": pb.AWAIT_UNTIL_NOW,
}


@dataclass(frozen=True, slots=True)
class Start:
    """What an execution is started with. The coordinator gives it a name where there is none."""

    function: str
    payload: str
    name: str = ""
    skip_time: bool = True
    tenant_id: str | None = None
    #: The fault plan, as text.
    faults: tuple[str, ...] = ()
    record_points: bool = False
    retry_at_once: bool = False
    #: The levels of logging, by the names of the loggers.
    log_levels: Mapping[str, int] = field(default_factory=dict)
    #: The context that coverage notes lines under.
    coverage_context: str = ""
    #: What the labels of worker hosts must have; `resume_on` once there have been as many
    #: invocations as `resume_after` says.
    labels: Mapping[str, str] = field(default_factory=dict)
    resume_on: Mapping[str, str] = field(default_factory=dict)
    resume_after: int = 1


@dataclass(frozen=True, slots=True)
class HostStatus:
    host_id: str
    pid: int
    slots: int
    labels: Mapping[str, str]
    #: Whether the host ends once its invocations have ended.
    draining: bool = False
    #: Of a lost host: how many seconds ago it was lost, and how many workers it had.
    lost_seconds: float = 0.0
    lost_workers: int = 0


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker. What follows its state is empty while it runs nothing; `pid` is that of the test's
    own process for an inline worker, which has no host."""

    worker_id: str
    host_id: str
    pid: int
    #: "starting", "idle", "busy", "ending", or "stuck": in a handler whose invocation is over.
    state: str
    request_id: str
    function_name: str
    #: Empty for a plain function that was invoked from outside.
    execution_arn: str
    #: Which invocation of the execution it is, counted from 1; 0 for a plain function.
    invocation: int
    running_seconds: float


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """The coordinator, whose own `pid` this is, and all that is connected to it, for all runners
    of the process."""

    pid: int
    hosts: Sequence[HostStatus]
    workers: Sequence[WorkerStatus]
    executions: int
    queued_invocations: int
    #: Why workers cannot be started; empty where they can be.
    trouble: str
    #: The hosts that went away lately and were not draining, the last at the end.
    lost_hosts: Sequence[HostStatus] = ()


class ControlClient:
    """What runners ask of the coordinator. Times are in seconds."""

    def __init__(
        self,
        transport: Transport,
        workspace_id: str,
        unavailable: Callable[[str, str], Exception],
    ) -> None:
        """A client for one workspace.

        Args:
            transport: What the calls go over.
            workspace_id: The workspace.
            unavailable: Makes the error for a call that failed itself, from what failed and what
                gRPC says of the failure; it may block.
        """
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
        """Register a function.

        Args:
            name: The function's name.
            code: What `loading.describe` made, or an inline function's key.
            durable: Whether the function is durable.
            settings: How the function is configured.

        Returns:
            The function's id.
        """
        request = registration(name, code, durable, settings)
        request.workspace_id = self.workspace_id
        answer = await self._call("RegisterFunction", request)
        function_id: str = answer[0].function_id
        return function_id

    async def replace_functions(
        self, functions: Iterable[tuple[str, worker_pb2.FunctionCode | str, bool, FunctionSettings]]
    ) -> None:
        """Register these functions, each as (name, code, durable, settings), and drop all others.
        Later invocations run what is in the functions' files now."""
        requests = [registration(*each) for each in functions]
        request = pb.ReplaceFunctionsRequest(workspace_id=self.workspace_id, functions=requests)
        await self._call("ReplaceFunctions", request)

    async def start(self, start: Start, *, hold_time: bool = False) -> str:
        """Start an execution; return its ARN. With `hold_time`, no time is skipped until somebody
        waits for the end."""
        request = self._start_request(start)
        request.hold_time = hold_time
        arn: str = (await self._call("StartExecution", request))[0].execution_arn
        return arn

    async def run(self, start: Start, timeout: float) -> ExecutionRecord:
        """Start an execution and wait for its end; the record is `timed_out` if that does not come
        within `timeout` seconds."""
        async with aclosing(self.run_each([start], timeout, at_once=1)) as outcomes:
            async for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome
        raise AssertionError("each start has an outcome")

    async def run_each(
        self, starts: Iterable[Start], timeout: float, at_once: int
    ) -> AsyncGenerator[ExecutionRecord | Exception, None]:
        """Run all executions, with up to `at_once` under way; the outcomes come in order. `timeout`
        is in seconds, for all of them together."""
        deadline, left = time.monotonic() + timeout, timeout
        for requests in _batches(map(self._start_request, starts)):
            request = pb.RunExecutionsRequest(
                starts=requests, at_once=at_once, timeout_ms=_ms(left)
            )
            missing = len(requests)
            answer = self.transport.messages("RunExecutions", request, left + GRACE)
            try:
                async with aclosing(answer):
                    record: list[pb.ExecutionPage] = []
                    async for message in answer:
                        for page in message.pages:
                            if page.WhichOneof("outcome") == "error":
                                yield error_named(page.error.code, page.error.message)
                            else:
                                record.append(page.page)
                                if page.more:
                                    continue
                                yield record_of(record)
                                record = []
                            missing -= 1
            except (grpc.RpcError, ChannelClosed) as error:
                failure = await self._translated("RunExecutions", error, timeout + GRACE)
                for _ in range(missing):
                    yield failure
            left = max(0.0, deadline - time.monotonic())

    async def wait(self, arn: str, until: Until, timeout: float) -> ExecutionRecord:
        """The record as soon as `until` holds; after `timeout` seconds one that is `timed_out`."""
        request = pb.AwaitExecutionRequest(
            execution_arn=arn, until=_UNTIL[until], timeout_ms=_ms(timeout)
        )
        answers = await self._call("AwaitExecution", request, timeout)
        return record_of([answer.page for answer in answers])

    async def wait_for_callback(
        self, arn: str, name: str | None, timeout: float
    ) -> tuple[str, str, model.ExecutionStatus]:
        """Wait for an open callback for at most `timeout` seconds.

        Returns:
            The callback's id, or "" if none was opened; what the execution waits for; and the
            execution's status.
        """
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
        """Move the clock of one execution, or of all where `arn` is None, by `duration` seconds;
        `TimeoutError` if what falls due is not done within `timeout` real seconds."""
        request = pb.AdvanceTimeRequest(
            execution_arn=arn or "", workspace_id=self.workspace_id, duration_ms=_ms(duration)
        )
        try:
            await self.transport.call("AdvanceTime", request, timeout)
        except (grpc.RpcError, ChannelClosed) as error:
            # The server itself sets no limit to this call.
            if getattr(error, "code", str)() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError(
                    f"Time was advanced, but what fell due was not done within {timeout:g} s."
                ) from None
            raise await self._translated("AdvanceTime", error, timeout) from error

    async def serve_aws_api(
        self,
        host: str,
        port: int,
        access_keys: Mapping[str, str],
        allow_hosts: Sequence[str],
        skip_time: bool,
        faults: Sequence[str],
        functions_follow: bool,
    ) -> str:
        """Have the coordinator serve the AWS API.

        Args:
            host, port: Where the coordinator is to listen; port 0 takes any that is free.
            access_keys: Secrets by key id; requests must be signed with one, if there are any.
            allow_hosts: The hosts, besides loopback's, that requests may be for and pages may come
                from.
            skip_time: Whether the executions that are started there skip time.
            faults: The fault plan of these executions.
            functions_follow: Whether requests wait for the first `replace_functions`.

        Returns:
            The endpoint's URL.

        Raises:
            InvalidParameterValue: Nothing can listen there, or one of `allow_hosts` is not a host.
        """
        request = pb.ServeAwsApiRequest(
            workspace_id=self.workspace_id,
            host=host,
            port=port,
            access_keys=access_keys,
            allow_hosts=allow_hosts,
            skip_time=skip_time,
            faults=faults,
            functions_follow=functions_follow,
        )
        answer = await self._call("ServeAwsApi", request)
        endpoint_url: str = answer[0].endpoint_url
        return endpoint_url

    async def status(self) -> RunnerStatus:
        answer: pb.GetStatusResponse = (await self._call("GetStatus", pb.GetStatusRequest()))[0]
        return RunnerStatus(
            pid=answer.pid,
            hosts=list(map(_host_status, answer.hosts)),
            workers=list(map(_worker_status, answer.workers)),
            executions=answer.executions,
            queued_invocations=answer.queued_invocations,
            trouble=answer.trouble,
            lost_hosts=list(map(_host_status, answer.lost_hosts)),
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
            faults=start.faults,
            record_points=start.record_points,
            retry_at_once=start.retry_at_once,
            log_levels=start.log_levels,
            coverage_context=start.coverage_context,
            labels=start.labels,
            resume_on=start.resume_on,
            resume_after=start.resume_after,
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


def _host_status(host: pb.HostStatus) -> HostStatus:
    return HostStatus(
        host.host_id,
        host.pid,
        host.slots,
        dict(host.labels),
        host.draining,
        host.lost_ms / 1000,
        host.lost_workers,
    )


def _worker_status(worker: pb.WorkerStatus) -> WorkerStatus:
    return WorkerStatus(
        worker.worker_id,
        worker.host_id,
        worker.pid,
        pb.WorkerState.Name(worker.state).removeprefix("WORKER_STATE_").lower(),
        worker.request_id,
        worker.function_name,
        worker.execution_arn,
        worker.invocation,
        worker.running_ms / 1000,
    )


def _ms(length: float) -> int:
    return round(length * 1000)


def _batches(
    requests: Iterable[pb.StartExecutionRequest],
) -> Iterator[list[pb.StartExecutionRequest]]:
    """As many in each as one message may carry."""
    batch: list[pb.StartExecutionRequest] = []
    size = 0
    for request in requests:
        size += request.ByteSize()
        if batch and size > _MESSAGE_BYTES:
            yield batch
            batch, size = [], request.ByteSize()
        batch.append(request)
    if batch:
        yield batch
