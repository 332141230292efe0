"""What a worker hands to the SDK in place of its Lambda client.

One `Checkpoint` stream, opened on the loop that first uses it and kept for its life:
the SDK runs one loop per handler, so a stream costs neither a thread hop nor a call.
Replies become the SDK's own objects without its mapping pass, which costs more than the
trip.

This module must not know how state is kept or what a token means.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from async_durable_execution import (
    ErrorObject,
    OperationStatus,
    OperationSubType,
    OperationType,
)

from ...core.text import not_unicode, utf8
from ...errors import InvalidParameterValue
from ...rpc import codec
from ...rpc.v1 import model_pb2, worker_pb2, worker_pb2_grpc
from .. import covered
from ..connection import Connection, end_stream, why_ended, why_refused
from ..misdeeds import commit
from . import async_models
from .replay import Replay

_TYPES: list[OperationType | None] = [
    None,
    *(OperationType[name[15:]] for name in model_pb2.OperationType.keys()[1:]),
]
_STATUSES: list[OperationStatus | None] = [
    None,
    *(OperationStatus[name[17:]] for name in model_pb2.OperationStatus.keys()[1:]),
]
_TYPE_NUMBERS: dict[OperationType, Any] = {
    OperationType[name[15:]]: number for name, number in model_pb2.OperationType.items() if number
}
# The SDK's enum of actions is not public; its values are the service's.
_ACTION_NUMBERS: dict[str, Any] = {
    name[17:]: number for name, number in model_pb2.OperationAction.items()
}
_SUB_TYPES: dict[str, OperationSubType | str] = {
    member.value: member for member in OperationSubType
}

_LOCAL = "invocation:"
#: The module of the coroutine in which gRPC waits for the end of a stream.
_OF_GRPC = "grpc._cython.cygrpc"
#: The service's name of the call that fails with each of the SDK's errors.
_OPERATIONS: dict[Any, str] = {
    async_models.CheckpointError: "CheckpointDurableExecution",
    async_models.GetExecutionStateError: "GetDurableExecutionState",
}


class _Refusal(Exception):
    """A refusal by the service, shaped as boto3's `ClientError`: the SDK reads it from there."""

    def __init__(self, operation: str, error: model_pb2.ServiceError) -> None:
        super().__init__(
            f"An error occurred ({error.code}) when calling the {operation} operation: "
            f"{error.message}"
        )
        self.response = {
            "Error": {"Code": error.code, "Message": error.message},
            "ResponseMetadata": {"HTTPStatusCode": error.http_status},
        }


def _refused(failure: Any, error: model_pb2.ServiceError) -> Exception:
    refused: Exception = failure.from_exception(_Refusal(_OPERATIONS[failure], error))
    return refused


class _State:
    __slots__ = ("next_marker", "operations")

    def __init__(self, reply: worker_pb2.CheckpointResponse | worker_pb2.Invocation) -> None:
        self.operations = [operation_from_proto(operation) for operation in reply.operations]
        self.next_marker = reply.next_marker or None


class _Checkpointed:
    __slots__ = ("checkpoint_token", "new_execution_state")

    def __init__(self, reply: worker_pb2.CheckpointResponse) -> None:
        # Absent is None, not empty: the SDK tells them apart.
        has_token = reply.HasField("checkpoint_token")
        self.checkpoint_token = reply.checkpoint_token if has_token else None
        self.new_execution_state = _State(reply)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _error(message: model_pb2.ErrorObject) -> ErrorObject:
    return ErrorObject(
        message=message.message if message.HasField("message") else None,
        type=message.type if message.HasField("type") else None,
        data=message.data if message.HasField("data") else None,
        stack_trace=list(message.stack_trace) or None,
    )


def operation_from_proto(message: model_pb2.Operation) -> Any:
    """The SDK's `Operation`."""
    has = message.HasField
    result = message.result if has("result") else None
    error = _error(message.error) if has("error") else None
    kind = _TYPES[message.type]
    details: dict[str, Any] = {}
    match kind:
        case OperationType.STEP:
            next_attempt = _time(message.next_attempt_ms) if has("next_attempt_ms") else None
            details["step_details"] = async_models.StepDetails(
                message.attempt, next_attempt, result, error
            )
        case OperationType.CONTEXT:
            details["context_details"] = async_models.ContextDetails(
                message.replay_children, result, error
            )
        case OperationType.WAIT:
            end = _time(message.scheduled_end_ms) if has("scheduled_end_ms") else None
            details["wait_details"] = async_models.WaitDetails(end)
        case OperationType.CALLBACK:
            details["callback_details"] = async_models.CallbackDetails(
                message.callback_id, result, error
            )
        case OperationType.CHAINED_INVOKE:
            details["chained_invoke_details"] = async_models.ChainedInvokeDetails(result, error)
        case OperationType.EXECUTION:
            details["execution_details"] = async_models.ExecutionDetails(
                message.input if has("input") else None
            )
    sub_type = message.sub_type
    return async_models.Operation(
        operation_id=message.id,
        operation_type=kind,
        status=_STATUSES[message.status],
        parent_id=message.parent_id or None,
        name=message.name or None,
        start_timestamp=_time(message.start_ms),
        end_timestamp=_time(message.end_ms) if has("end_ms") else None,
        sub_type=_SUB_TYPES.get(sub_type, sub_type) if sub_type else None,
        **details,
    )


def update_to_proto(
    update: Any, new: Callable[..., model_pb2.OperationUpdate] = model_pb2.OperationUpdate
) -> model_pb2.OperationUpdate:
    """The message for an update of the SDK's (its class is not public)."""
    sub_type = update.sub_type
    message = new(
        id=update.operation_id,
        type=_TYPE_NUMBERS[update.operation_type],
        action=_ACTION_NUMBERS[update.action.value],
        parent_id=update.parent_id or None,
        name=update.name or None,
        sub_type=getattr(sub_type, "value", sub_type),
        payload=update.payload,
    )
    if (error := update.error) is not None:
        message.error.CopyFrom(
            model_pb2.ErrorObject(
                message=error.message and utf8(error.message),
                type=error.type,
                data=error.data,
                stack_trace=[utf8(line) for line in error.stack_trace or ()],
            )
        )
    if (step := update.step_options) is not None:
        message.next_attempt_delay_seconds = step.next_attempt_delay_seconds
    if (context := update.context_options) is not None:
        message.replay_children = context.replay_children
    if (wait := update.wait_options) is not None:
        message.wait_seconds = wait.wait_seconds
    if (callback := update.callback_options) is not None:
        message.timeout_seconds = callback.timeout_seconds
        message.heartbeat_timeout_seconds = callback.heartbeat_timeout_seconds
    if (invoke := update.chained_invoke_options) is not None:
        message.function_name = invoke.function_name
        if invoke.tenant_id is not None:
            message.tenant_id = invoke.tenant_id
    return message


class _Stream:
    """A `Checkpoint` stream, bound to the loop that is running when it is made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.loop = asyncio.get_running_loop()
        self.channel = connection.channel()
        self.turn = asyncio.Lock()
        self.open()

    def open(self) -> None:
        self.call = self._begin()

    def _begin(self) -> Any:
        stub = worker_pb2_grpc.WorkerServiceStub(self.channel)
        return stub.Checkpoint(metadata=self._connection.metadata)

    async def why(self, code: grpc.StatusCode, details: str | None) -> str:
        """Why the coordinator ended the call, of which gRPC says `code` and `details`."""
        if code is grpc.StatusCode.INTERNAL and (refused := await why_refused(self._begin())):
            code, details = refused.code(), refused.details()
        return why_ended(code, details)

    async def end(self) -> None:
        await end_stream(self.call)
        await self.channel.close()


class GrpcServiceClient:
    """The SDK's `DurableServiceClient` over one stream to the coordinator."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stream: _Stream | None = None
        self._invocation = worker_pb2.Invocation()
        #: Of the invocation that began last.
        self.replay = Replay()
        #: How far the execution's clock is ahead of the real time, as far as is known.
        self.clock_ahead = timedelta()

    def begin(self, invocation: worker_pb2.Invocation) -> str:
        """Hold the state that came with `invocation`; the marker under which it can be read.

        Read this way it costs a hundredth of what the SDK's mapping of the event does.
        """
        self._invocation = invocation
        self.clock_ahead = timedelta(milliseconds=invocation.clock_ahead_ms)
        self.replay = Replay()
        self.replay.deliver(invocation.operations, invocation.sources)
        return f"{_LOCAL}{invocation.request_id}"

    async def checkpoint(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: list[Any],
        client_token: str | None,
    ) -> Any:
        request = worker_pb2.CheckpointRequest(
            execution_arn=durable_execution_arn,
            checkpoint_token=checkpoint_token,
            client_token=client_token,
        )
        try:
            codec.extend(request.updates, update_to_proto, updates)
        except UnicodeEncodeError:
            why = not_unicode([update.to_dict() for update in updates], "Updates")
            refusal = codec.service_error_to_proto(InvalidParameterValue(why))
            raise _refused(async_models.CheckpointError, refusal) from None
        request.sources.extend(self.replay.sources(request.updates))
        return _Checkpointed(await self._exchange(request, async_models.CheckpointError))

    async def get_execution_state(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        next_marker: str,
        max_items: int = 1000,
    ) -> Any:
        if next_marker == f"{_LOCAL}{self._invocation.request_id}":
            self._loop = asyncio.get_running_loop()
            return _State(self._invocation)
        request = worker_pb2.CheckpointRequest(
            execution_arn=durable_execution_arn,
            checkpoint_token=checkpoint_token,
            marker=next_marker,
            max_items=max_items,
        )
        page = await self._exchange(request, async_models.GetExecutionStateError)
        self.replay.deliver(page.operations, page.sources)
        return _State(page)

    def at_rest(self) -> bool:
        """Whether the handler's loop has nothing left to run but the stream."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return True
        # asyncio does not tell its timers. A loop of another kind may have some.
        timers = getattr(loop, "_scheduled", None)
        if timers is None or not all(timer.cancelled() for timer in timers):
            return False
        coroutines = [task.get_coro() for task in asyncio.all_tasks(loop)]
        return all(getattr(each, "__module__", "") == _OF_GRPC for each in coroutines)

    def close(self) -> None:
        """Give up the stream, and with it the handler's loop and what is left running there.

        The SDK makes itself another loop if it is called again. No loop may be running in
        this thread.
        """
        loop, self._loop = self._loop, None
        if loop is None or loop.is_closed():
            return
        if self._stream is not None and self._stream.loop is loop:
            # A task that awaits one which ended with SystemExit raises that through the loop.
            with contextlib.suppress(BaseException):
                loop.run_until_complete(self._stream.end())
            self._stream = None
        tasks = asyncio.all_tasks(loop)
        while tasks:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(BaseException):
                loop.run_until_complete(asyncio.wait(tasks, timeout=1))
                break
            tasks = asyncio.all_tasks(loop)
        loop.close()

    async def _exchange(
        self,
        request: worker_pb2.CheckpointRequest,
        failure: Any,
    ) -> worker_pb2.CheckpointResponse:
        operation = _OPERATIONS[failure]
        self._loop = asyncio.get_running_loop()
        stream = self._stream
        if stream is None or stream.loop is not self._loop:
            stream = self._stream = _Stream(self._connection)
        async with stream.turn:
            if stream.call.done():
                stream.open()
            call = stream.call
            covered.save()
            try:
                await call.write(request)
                reply = await call.read()
            except grpc.aio.AioRpcError as error:
                why = await stream.why(error.code(), error.details())
                raise failure(f"{operation} failed: {why}") from None
            except asyncio.InvalidStateError:
                why = await stream.why(await call.code(), await call.details())
                raise failure(f"{operation} failed: {why}") from None
            except BaseException:
                # The reply to come would be taken for the next request's.
                call.cancel()
                raise
        if not isinstance(reply, worker_pb2.CheckpointResponse):
            why = why_ended(None, "it closed the stream")
            raise failure(f"{operation} failed: {why}")
        if reply.HasField("misdeed"):
            if reply.misdeed.kind == worker_pb2.MISDEED_KIND_ASK_AGAIN:
                return await self._exchange(request, failure)
            if reply.misdeed.kind == worker_pb2.MISDEED_KIND_RAISE:
                raise failure(f"{operation} failed: {reply.misdeed.message}")
            commit(reply.misdeed)
        if reply.HasField("error"):
            raise _refused(failure, reply.error)
        self.clock_ahead = timedelta(milliseconds=reply.clock_ahead_ms)
        return reply
