"""Handlers of the official `aws-durable-execution-sdk-python`, which is synchronous.

The SDK lets an event bring a service client along. So the decorated handler is called as it is,
with its plugins. A thread of the SDK's sends the checkpoints, which are the same requests on the
same kind of stream as those of the other SDK.

The SDK's contexts do not say which operation they belong to. So the stack says to which operation
an effect belongs: the SDK's frame that runs the code of a step or a child context has the
operation's identifier.
"""

from __future__ import annotations

import functools
import inspect
import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import aws_durable_execution_sdk_python as sdk
import grpc
from aws_durable_execution_sdk_python import execution, lambda_service
from aws_durable_execution_sdk_python.identifier import OperationIdentifier
from aws_durable_execution_sdk_python.types import OperationContext
from botocore.exceptions import ClientError

from ...core import shapes
from ...core.divergence import Divergence
from ...core.text import not_unicode, utf8
from ...errors import InvalidParameterValue
from ...rpc import codec
from ...rpc.v1 import model_pb2, worker_pb2, worker_pb2_grpc
from .. import covered
from ..connection import Connection, why_ended
from ..misdeeds import commit
from .choice import Handler, kind_of
from .lambda_event import lambda_event
from .replay import Replay, install, watched
from .threads import inheriting

_SDK = os.path.dirname(sdk.__file__) + os.sep


def bind(handler: Handler, client: OfficialClient | None) -> Handler:
    if client is None:
        return handler
    given = execution.DurableExecutionInvocationInput
    # Releases before 1.1 have one form only.
    read = getattr(given, "from_json_dict", given.from_dict)
    with_client = execution.DurableExecutionInvocationInputWithClient
    service_client = lambda_service.LambdaClient(client)

    @functools.wraps(handler)
    def bound(event: Any, context: Any) -> Any:
        brought = with_client.from_durable_execution_invocation_input(read(event), service_client)
        return handler(brought, context)

    return bound


def complaint(function: object) -> str:
    # The SDK's own wrappers do not say what they wrap, but hold it as a variable.
    while getattr(function, "__module__", "").startswith(f"{sdk.__name__}."):
        variables = inspect.getclosurevars(function).nonlocals  # type: ignore[arg-type]
        if "func" not in variables:
            return ""
        function = variables["func"]
    kind = kind_of(function)
    if kind == "a plain function":
        return ""
    remedy = "return its result" if "generator" in kind else "define it with def"
    return f"is {kind}, and the SDK calls the handler without awaiting it: {remedy}."


def rebuilding(handler: Handler) -> Any:
    return NotImplemented


class OfficialClient:
    """The client that the SDK's own `LambdaClient` takes for boto3's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._call: Any = None
        self._requests: queue.SimpleQueue[worker_pb2.CheckpointRequest | None]
        #: The replay of the invocation that began last.
        self._replay = Replay()

    def event(self, invocation: worker_pb2.Invocation) -> dict[str, Any]:
        self._replay = Replay()
        self._replay.deliver(invocation.operations, invocation.sources)
        return lambda_event(invocation, invocation.operations, invocation.next_marker)

    @contextmanager
    def watching(self) -> Iterator[None]:
        with inheriting(), watched(self._replay):
            yield

    def divergences(self, succeeded: bool) -> Iterable[Divergence]:
        return self._replay.divergences(succeeded)

    def locate(self, request: worker_pb2.RecordEffectRequest) -> None:
        identifier, in_step = _running()
        request.outside_step = not in_step
        if identifier is not None:
            request.operation_id = identifier.operation_id
            request.operation_name = utf8(identifier.name or "")

    def checkpoint_durable_execution(
        self,
        *,
        DurableExecutionArn: str,
        CheckpointToken: str,
        Updates: list[dict[str, Any]],
        ClientToken: str | None = None,
    ) -> dict[str, Any]:
        try:
            updates = [codec.update_to_proto(shapes.UPDATE.from_json(each)) for each in Updates]
        except UnicodeEncodeError:
            why = InvalidParameterValue(not_unicode(Updates, "Updates"))
            refusal = codec.service_error_to_proto(why)
            raise _refused("CheckpointDurableExecution", refusal) from None
        request = worker_pb2.CheckpointRequest(
            execution_arn=DurableExecutionArn,
            checkpoint_token=CheckpointToken,
            updates=updates,
            client_token=ClientToken,
        )
        request.sources.extend(self._replay.sources(request.updates))
        reply = self._exchange(request, "CheckpointDurableExecution")
        answer: dict[str, Any] = {"NewExecutionState": _state(reply)}
        if reply.HasField("checkpoint_token"):
            answer["CheckpointToken"] = reply.checkpoint_token
        return answer

    def get_durable_execution_state(
        self, *, DurableExecutionArn: str, CheckpointToken: str, Marker: str, MaxItems: int = 1000
    ) -> dict[str, Any]:
        request = worker_pb2.CheckpointRequest(
            execution_arn=DurableExecutionArn,
            checkpoint_token=CheckpointToken,
            marker=Marker,
            max_items=MaxItems,
        )
        page = self._exchange(request, "GetDurableExecutionState")
        self._replay.deliver(page.operations, page.sources)
        return _state(page)

    def at_rest(self) -> bool:
        # Threads that were left behind go on whichever function is invoked.
        return not self._turn.locked()

    def close(self) -> None:
        with self._turn:
            channel, self._channel = self._channel, None
            self._end()
        if channel is not None:
            channel.close()

    def _exchange(
        self, request: worker_pb2.CheckpointRequest, operation: str
    ) -> worker_pb2.CheckpointResponse:
        with self._turn:
            if self._call is None:
                self._open()
            covered.save()
            self._requests.put(request)
            try:
                reply = next(self._call)
            except (grpc.RpcError, StopIteration) as error:
                self._end()
                code, details = (
                    getattr(error, each, lambda: None)() for each in ("code", "details")
                )
                why = why_ended(code, details)
                raise RuntimeError(f"{operation} failed: {why}") from None
        if reply.HasField("misdeed"):
            if reply.misdeed.kind == worker_pb2.MISDEED_KIND_ASK_AGAIN:
                return self._exchange(request, operation)
            if reply.misdeed.kind == worker_pb2.MISDEED_KIND_RAISE:
                raise RuntimeError(f"{operation} failed: {reply.misdeed.message}")
            commit(reply.misdeed)
        if reply.HasField("error"):
            raise _refused(operation, reply.error)
        return reply  # type: ignore[no-any-return]

    def _open(self) -> None:
        if self._channel is None:
            self._channel = self._connection.blocking_channel()
        self._requests = queue.SimpleQueue()
        stub = worker_pb2_grpc.WorkerServiceStub(self._channel)
        self._call = stub.Checkpoint(
            iter(self._requests.get, None), metadata=self._connection.metadata
        )

    def _end(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            # This ends gRPC's thread that waits for requests.
            self._requests.put(None)
            call.cancel()


def client(connection: Connection) -> OfficialClient:
    # The identifiers of early releases do not say what kind of operation they are for.
    if "sub_type" in {field.name for field in fields(OperationIdentifier)}:
        install(OperationIdentifier)
    return OfficialClient(connection)


def _running() -> tuple[Any, bool]:
    """Return the identifier of the operation whose code is calling, and whether that is a step.

    The identifier is None where no operation's code is calling.
    """
    found = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_SDK):
            values = frame.f_locals
            identifier = values.get("operation_identifier")
            identifier = identifier or getattr(values.get("self"), "operation_identifier", None)
            if isinstance(identifier, OperationIdentifier):
                if found not in (None, identifier):
                    break
                found = identifier
                if any(isinstance(each, OperationContext) for each in values.values()):
                    return found, True
        frame = frame.f_back
    return found, False


def _state(reply: worker_pb2.CheckpointResponse) -> dict[str, Any]:
    operations = map(codec.operation_from_proto, reply.operations)
    state: dict[str, Any] = {
        "Operations": [shapes.OPERATION.to_json(each, _time) for each in operations]
    }
    if reply.next_marker:
        state["NextMarker"] = reply.next_marker
    return state


def _refused(operation: str, error: model_pb2.ServiceError) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": error.code, "Message": error.message},
            "ResponseMetadata": {"HTTPStatusCode": error.http_status},
        },
        operation,
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
