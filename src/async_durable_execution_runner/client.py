"""The control service as a runner calls it: plain data in, plain data and our errors out.

The one client module that knows gRPC. Calls go through a `Transport`, of which there are
two, so that everything above is written once: the blocking one's coroutines never suspend
and are driven to their end by `drive`; the other one runs on the caller's event loop.
"""

# ruff: noqa: ASYNC109 - a gRPC deadline goes with the call; `asyncio.timeout` cannot set it.

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, Protocol, TypeVar

import grpc
import grpc.aio

from . import errors
from .core import model
from .functions import DEFAULT_MEMORY_MB, FunctionSettings, Isolation
from .results import ExecutionRecord, InvocationRecord
from .rpc import OPTIONS, PROTOCOL_VERSION, codec
from .rpc.v1 import control_pb2 as pb
from .rpc.v1 import control_pb2_grpc, model_pb2, worker_pb2

T = TypeVar("T")
Job = Callable[[], Coroutine[Any, Any, T]]

#: Seconds for an answer that needs no waiting, on a machine under load.
ANSWER_TIMEOUT = 20.0
#: Seconds beyond the server's own deadline until it counts as frozen.
GRACE = 10.0

# A proxy for HTTP has no business between processes of one machine.
CHANNEL_OPTIONS = [*OPTIONS, ("grpc.enable_http_proxy", 0)]
# Generated without types.
_Stub: Any = control_pb2_grpc.ControlServiceStub
_STREAMS = frozenset({"RunExecution", "AwaitExecution"})
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


def _error_classes() -> dict[str, type[errors.RunnerError]]:
    found: dict[str, type[errors.RunnerError]] = {}
    pending: list[type[errors.RunnerError]] = [errors.RunnerError]
    while pending:
        each = pending.pop()
        found[each.__name__] = each
        if "code" in vars(each):
            found[vars(each)["code"]] = each
        pending += each.__subclasses__()
    return found


def raised(error: Any) -> errors.RunnerError | None:
    """The error that the coordinator raised, from a `grpc.RpcError` of either kind; None
    where the call itself failed."""
    details: str = error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == "error-code":
            kind = _error_classes().get(value, errors.RunnerError)
            if issubclass(kind, errors.InvalidCheckpointToken):
                kind = errors.InvalidParameterValue
            return kind(details)
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED:
            return errors.Unauthenticated(details)
        case (
            grpc.StatusCode.UNAVAILABLE
            | grpc.StatusCode.DEADLINE_EXCEEDED
            | grpc.StatusCode.CANCELLED
        ):
            return None
        case status:
            return errors.RunnerError(f"{details} ({status.name})")


class Transport(Protocol):
    async def call(self, method: str, request: Any, timeout: float) -> list[Any]:
        """Every message of the answer; `grpc.RpcError`."""

    async def gather(self, jobs: Sequence[Job[T]], limit: int) -> list[T | BaseException]:
        """Do all, at most `limit` at once; outcomes in order."""

    async def blocking(self, function: Callable[[], T]) -> T:
        """Call what may block the thread for a while."""

    async def close(self) -> None: ...


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine over a `BlockingTransport`."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    coroutine.close()
    raise RuntimeError("A blocking call was about to suspend.")


class BlockingTransport:
    """Over a channel of the cluster's, from any thread. Does not own the channel."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._stub = _Stub(channel)
        self._metadata = metadata(token)
        self._in_flight: set[Any] = set()

    async def call(self, method: str, request: Any, timeout: float) -> list[Any]:
        call = getattr(self._stub, method)
        if method not in _STREAMS:
            return [call(request, timeout=timeout, metadata=self._metadata)]
        answer = call(request, timeout=timeout, metadata=self._metadata)
        self._in_flight.add(answer)
        try:
            return list(answer)
        finally:
            answer.cancel()
            self._in_flight.discard(answer)

    async def gather(self, jobs: Sequence[Job[T]], limit: int) -> list[T | BaseException]:
        def do(job: Job[T]) -> T | BaseException:
            try:
                return drive(job())
            except Exception as error:
                return error

        with ThreadPoolExecutor(max(1, min(limit, len(jobs)))) as pool:
            try:
                return list(pool.map(do, jobs))
            except BaseException:
                # Interrupted: do not wait for what is under way, nor start the rest.
                pool.shutdown(wait=False, cancel_futures=True)
                for call in list(self._in_flight):
                    call.cancel()
                raise

    async def blocking(self, function: Callable[[], T]) -> T:
        return function()

    async def close(self) -> None:
        pass


class LoopTransport:
    """Over a channel of its own, on the running event loop."""

    def __init__(self, address: str, token: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stub = _Stub(self._channel)
        self._metadata = metadata(token)

    async def call(self, method: str, request: Any, timeout: float) -> list[Any]:
        answer = getattr(self._stub, method)(request, timeout=timeout, metadata=self._metadata)
        if method in _STREAMS:
            return [message async for message in answer]
        return [await answer]

    async def gather(self, jobs: Sequence[Job[T]], limit: int) -> list[T | BaseException]:
        turn = asyncio.Semaphore(limit)

        async def do(job: Job[T]) -> T:
            async with turn:
                return await job()

        return await asyncio.gather(*map(do, jobs), return_exceptions=True)

    async def blocking(self, function: Callable[[], T]) -> T:
        return await asyncio.to_thread(function)

    async def close(self) -> None:
        await self._channel.close(None)


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


class Workspace:
    """A runner's place in the coordinator, for as long as this is open."""

    def __init__(
        self,
        channel: grpc.Channel,
        token: str,
        *,
        workers: int,
        invocation_retries: int,
        retry_backoff: float,
        epoch_ms: int | None,
    ) -> None:
        """Open it; `grpc.RpcError`. Blocks for one round trip."""
        stub = _Stub(channel)
        request = pb.OpenWorkspaceRequest(
            protocol_version=PROTOCOL_VERSION,
            workers=workers,
            invocation_retries=invocation_retries,
            retry_backoff_ms=round(retry_backoff * 1000),
            epoch_ms=epoch_ms,
        )
        # Open without a deadline, as long as the runner; so its first answer has a timer here.
        self._call: Any = stub.OpenWorkspace(request, metadata=metadata(token))
        timer = threading.Timer(ANSWER_TIMEOUT, self._call.cancel)
        timer.start()
        try:
            self.id: str = next(self._call).workspace_id
        finally:
            timer.cancel()

    def close(self) -> None:
        self._call.cancel()


class ControlClient:
    """What runners ask of the coordinator. Times are in seconds."""

    def __init__(
        self,
        transport: Transport,
        workspace_id: str,
        unavailable: Callable[[str], errors.RunnerError],
    ) -> None:
        """`unavailable` makes the error for a call that failed itself; it may block."""
        self.transport = transport
        self.workspace_id = workspace_id
        self._unavailable = unavailable

    async def register(
        self, name: str, code: Any, *, durable: bool, settings: FunctionSettings
    ) -> str:
        """The function's id. `code` is a `FunctionCode` message."""
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
            code=code,
            isolation=_ISOLATION[settings.isolation],
            execution_timeout_seconds=settings.execution_timeout,
        )
        answer = await self._call("RegisterFunction", request)
        function_id: str = answer[0].function_id
        return function_id

    async def start(
        self, function: str, payload: str, *, name: str, skip_time: bool, tenant_id: str | None
    ) -> str:
        """The execution's ARN."""
        request = self._start(function, payload, name, skip_time, tenant_id)
        arn: str = (await self._call("StartExecution", request))[0].execution_arn
        return arn

    async def run(
        self,
        function: str,
        payload: str,
        *,
        name: str,
        skip_time: bool,
        tenant_id: str | None,
        timeout: float,
    ) -> ExecutionRecord:
        """Start it and wait for its end; the record may be `timed_out`."""
        request = pb.RunExecutionRequest(
            start=self._start(function, payload, name, skip_time, tenant_id),
            timeout_ms=_ms(timeout),
        )
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

    async def advance(self, arn: str, duration: float, timeout: float) -> None:
        request = pb.AdvanceTimeRequest(
            execution_arn=arn, workspace_id=self.workspace_id, duration_ms=_ms(duration)
        )
        await self._call("AdvanceTime", request, timeout)

    async def trouble(self) -> str:
        """Why workers cannot be started; empty where they can."""
        text: str = (await self._call("GetStatus", pb.GetStatusRequest()))[0].trouble
        return text

    async def _complete(self, request: pb.CompleteCallbackRequest) -> None:
        await self._call("CompleteCallback", request)

    def _start(
        self, function: str, payload: str, name: str, skip_time: bool, tenant_id: str | None
    ) -> pb.StartExecutionRequest:
        return pb.StartExecutionRequest(
            workspace_id=self.workspace_id,
            function_name=function,
            payload=payload,
            execution_name=name,
            skip_time=skip_time,
            tenant_id=tenant_id,
        )

    async def _call(self, method: str, request: Any, wait: float | None = None) -> list[Any]:
        timeout = ANSWER_TIMEOUT if wait is None else wait + GRACE
        try:
            return await self.transport.call(method, request, timeout)
        except grpc.RpcError as error:
            known = raised(error)
            if known is not None:
                raise known from None
            failure = _failure(method, error, timeout)
            raise await self.transport.blocking(lambda: self._unavailable(failure)) from error


def _failure(method: str, error: Any, timeout: float) -> str:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"The coordinator did not answer {method} within {timeout:g} seconds"
    return f"The coordinator was lost during {method} ({error.details()})"


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
