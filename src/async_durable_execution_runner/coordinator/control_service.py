"""`ControlService`: decodes the calls of runners for the executor."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import grpc

from .. import log
from ..core import events as ev
from ..core import limits
from ..core.faults import Fault, Plan
from ..core.model import DEFAULT_PLACE, Isolation, Operation, Place
from ..errors import InvalidParameterValue, RunnerError, ServiceError, VersionMismatch
from ..rpc import PROTOCOL_VERSION, codec, details
from ..rpc.v1 import control_pb2 as pb
from ..rpc.v1.control_pb2_grpc import ControlServiceServicer
from .calls import Context
from .executor import Executor
from .following import Follower
from .pages import pages
from .runs import Run, Workspace
from .status import status
from .until import until
from .waiting_for import waiting_for
from .workers import Function

if TYPE_CHECKING:
    from .lambda_service import Listener

_logger = logging.getLogger(__name__)

#: Records that are ready together share a message, until the message has this many bytes.
_MESSAGE_BYTES = 1024 * 1024


def _statuses(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn `RunnerError` into its gRPC status, for unary methods."""

    @functools.wraps(method)
    async def wrapped(self: ControlService, request: Any, context: Context) -> Any:
        try:
            return await method(self, request, context)
        except RunnerError as error:
            await _abort(context, error, method.__name__)

    return wrapped


async def _abort(context: Context, error: RunnerError, call: str) -> None:
    status, code = grpc.StatusCode[error.grpc_status], _code(error)
    _logger.info("%s refused, %s: %s", call, code, error)
    await context.abort(status, details(str(error)), (("error-code", code),))


def _code(error: RunnerError) -> str:
    return error.code if isinstance(error, ServiceError) else type(error).__name__


class ControlService(ControlServiceServicer):
    def __init__(self, executor: Executor, coordinator_id: str, new_id: Callable[[], str]) -> None:
        self._executor = executor
        self._coordinator_id = coordinator_id
        self._new_id = new_id
        #: The listeners for HTTP, by the id of the workspace that they serve.
        self._listeners: dict[str, list[Listener]] = {}

    # -- workspaces and functions ----------------------------------------------------------

    async def OpenWorkspace(
        self, request: pb.OpenWorkspaceRequest, context: Context
    ) -> AsyncIterator[pb.OpenWorkspaceResponse]:
        if request.protocol_version != PROTOCOL_VERSION:
            await _abort(
                context,
                VersionMismatch(
                    f"The runner speaks protocol version {request.protocol_version} and the "
                    f"coordinator {PROTOCOL_VERSION}: install the same version on both sides."
                ),
                "OpenWorkspace",
            )
        workspace = self._executor.open_workspace(
            max(1, request.workers),
            request.invocation_retries,
            request.retry_backoff_ms,
            request.epoch_ms if request.HasField("epoch_ms") else None,
            limits.Limits(**request.limits),
            Place(request.region or DEFAULT_PLACE.region, request.account or DEFAULT_PLACE.account),
        )
        workspace.debugging = request.debugging if request.HasField("debugging") else None
        try:
            for function in request.functions:
                self._register(workspace, function)
            yield pb.OpenWorkspaceResponse(workspace_id=workspace.id)
            await asyncio.get_running_loop().create_future()
        finally:
            for listener in self._listeners.pop(workspace.id, ()):
                listener.close()
            self._executor.close_workspace(workspace)

    @_statuses
    async def RegisterFunction(
        self, request: pb.RegisterFunctionRequest, context: Context
    ) -> pb.RegisterFunctionResponse:
        workspace = self._executor.workspace(request.workspace_id)
        return pb.RegisterFunctionResponse(function_id=self._register(workspace, request))

    def _register(self, workspace: Workspace, request: pb.RegisterFunctionRequest) -> str:
        function = self._function(workspace, request)
        workspace.functions[function.name] = function
        if function.isolation is not Isolation.INLINE:
            # No process that has served may serve a function that is isolated.
            warm = function.isolation is Isolation.WORKER
            self._prepare(workspace, function.process_group if warm else "")
        return function.id

    def _prepare(self, workspace: Workspace, group: str = "") -> None:
        self._executor.pool.prepare(min(workspace.share.workers, os.cpu_count() or 1), group)

    @_statuses
    async def ReplaceFunctions(
        self, request: pb.ReplaceFunctionsRequest, context: Context
    ) -> pb.ReplaceFunctionsResponse:
        workspace = self._executor.workspace(request.workspace_id)
        functions = [self._function(workspace, each) for each in request.functions]
        self._executor.replace_functions(workspace, functions)
        self._prepare(workspace)
        return pb.ReplaceFunctionsResponse()

    def _function(self, workspace: Workspace, request: pb.RegisterFunctionRequest) -> Function:
        config, group = request.config, request.process_group
        if request.code.sdk:
            self._executor.pool.sdks.add(request.code.sdk)
        if request.code.surroundings.HasField("coverage"):
            self._executor.pool.coverage = True
        return Function(
            id=self._new_id(),
            name=config.name,
            durable=config.durable,
            timeout_seconds=config.timeout_seconds,
            memory_mb=config.memory_mb,
            enforce_memory=config.enforce_memory,
            environment=dict(config.environment),
            isolation=codec.isolation_from_proto(request.isolation),
            execution_timeout_seconds=request.execution_timeout_seconds,
            code=request.code,
            log_format=config.log_format,
            retention_days=request.retention_days,
            process_group=f"{workspace.id}{group}" if group.startswith("/") else group,
            place=workspace.place,
        )

    @_statuses
    async def ServeAwsApi(
        self, request: pb.ServeAwsApiRequest, context: Context
    ) -> pb.ServeAwsApiResponse:
        workspace = self._executor.workspace(request.workspace_id)
        module = await asyncio.to_thread(_lambda_service)
        operations = module.operations(
            self._executor,
            workspace,
            self._new_id,
            request.skip_time,
            _plan(request.faults),
            request.functions_follow,
        )
        listener = await module.listen(
            operations, request.host, request.port, request.access_keys, request.allow_hosts
        )
        # The workspace may have been closed meanwhile.
        if request.workspace_id not in self._executor.workspaces:
            listener.close()
        self._executor.workspace(request.workspace_id)
        self._listeners.setdefault(workspace.id, []).append(listener)
        return pb.ServeAwsApiResponse(endpoint_url=listener.endpoint_url)

    async def FollowOutput(
        self, request: pb.FollowOutputRequest, context: Context
    ) -> AsyncIterator[pb.FollowOutputResponse]:
        try:
            workspace = self._executor.workspace(request.workspace_id)
        except RunnerError as error:
            await _abort(context, error, "FollowOutput")
            return
        follower = Follower()
        workspace.followers.append(follower)
        try:
            yield pb.FollowOutputResponse()
            async for written in follower:
                yield pb.FollowOutputResponse(
                    function_name=written.function_name,
                    execution_arn=written.execution_arn,
                    request_id=written.request_id,
                    time_ms=written.time_ms,
                    lines=map(codec.line_to_proto, written.lines),
                    dropped=written.dropped,
                )
        finally:
            workspace.followers.remove(follower)

    # -- executions ------------------------------------------------------------------------

    def _start(self, request: pb.StartExecutionRequest) -> Run:
        if request.execution_name:
            limits.check_execution_name(request.execution_name)
        limits.check_size(request.payload, limits.REQUEST_BYTES, "The input")
        return self._executor.starter.start(
            self._executor.workspace(request.workspace_id),
            request.function_name,
            request.payload,
            request.execution_name or self._new_id(),
            skip_time=request.skip_time,
            hold_time=request.hold_time,
            plan=_plan(request.faults),
            record_points=request.record_points,
            retry_at_once=request.retry_at_once,
            log_levels=request.log_levels,
            coverage_context=request.coverage_context,
            labels=request.labels,
            resume_on=request.resume_on,
            resume_after=request.resume_after or 1,
            tenant_id=request.tenant_id if request.HasField("tenant_id") else None,
        )

    @_statuses
    async def StartExecution(
        self, request: pb.StartExecutionRequest, context: Context
    ) -> pb.StartExecutionResponse:
        return pb.StartExecutionResponse(execution_arn=self._start(request).arn)

    async def RunExecutions(self, request: pb.RunExecutionsRequest, context: Context) -> None:
        loop = asyncio.get_running_loop()
        deadlines = {
            each.id: each.patience.time() + request.timeout_ms / 1000
            for each in map(
                self._executor.workspaces.get, {start.workspace_id for start in request.starts}
            )
            if each is not None
        }
        free = asyncio.Semaphore(max(1, request.at_once))
        outcomes: deque[asyncio.Future[list[pb.RunPage]]]
        outcomes = deque(loop.create_future() for _ in request.starts)

        async def run(start: pb.StartExecutionRequest, to: asyncio.Future[Any]) -> None:
            to.set_result(await self._run(start, deadlines))
            free.release()

        async def start_all() -> None:
            for start, outcome in zip(request.starts, tuple(outcomes), strict=True):
                await free.acquire()
                group.create_task(run(start, outcome))
                # Other tasks have their turn on the loop between two starts.
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(start_all())
            while outcomes:
                await outcomes[0]
                response, size = pb.RunExecutionsResponse(), 0
                while outcomes and outcomes[0].done() and size < _MESSAGE_BYTES:
                    for page in outcomes.popleft().result():
                        if size >= _MESSAGE_BYTES:
                            await context.write(response)
                            response, size = pb.RunExecutionsResponse(), 0
                        size += page.ByteSize()
                        response.pages.append(page)
                await context.write(response)

    async def _run(
        self, start: pb.StartExecutionRequest, deadlines: Mapping[str, float]
    ) -> list[pb.RunPage]:
        try:
            run = self._start(start)
            left = deadlines[start.workspace_id] - run.workspace.patience.time()
            in_time = await self._ended(run, max(0, round(left * 1000)))
        except RunnerError as error:
            _logger.info("RunExecutions refused one, %s: %s", _code(error), error)
            return [pb.RunPage(error=pb.RunError(code=_code(error), message=str(error)))]
        record: list[pb.RunPage] = []
        for page in pages(self._executor, run, in_time, pb.RunPage):
            if record:
                record[-1].more = True
                # Others have their turn on the loop between two pages.
                await asyncio.sleep(0)
            record.append(page)
        return record

    async def AwaitExecution(
        self, request: pb.AwaitExecutionRequest, context: Context
    ) -> AsyncIterator[pb.AwaitExecutionResponse]:
        try:
            run = self._executor.run(request.execution_arn)
            match request.until:
                case pb.AWAIT_UNTIL_ENDED:
                    in_time = await self._ended(run, request.timeout_ms)
                case pb.AWAIT_UNTIL_SUSPENDED:
                    in_time = await self._until(
                        run,
                        lambda: run.execution.ended or run.execution.suspended,
                        request.timeout_ms,
                    )
                case _:
                    in_time = True
        except RunnerError as error:
            await _abort(context, error, "AwaitExecution")
            return
        for answer in pages(self._executor, run, in_time, pb.AwaitExecutionResponse):
            yield answer

    async def _ended(self, run: Run, timeout_ms: int) -> bool:
        with self._executor.timekeeper.awaiting_end(run.family):
            return await self._until(run, lambda: run.settled, timeout_ms)

    async def _until(self, run: Run, condition: Callable[[], bool], timeout_ms: int) -> bool:
        """Return whether `condition` came true in time. Where it did not, the handlers have been
        inspected, so that `waiting_for` can say what they are doing."""
        if await until(self._executor, run, condition, timeout_ms / 1000):
            return True
        await self._executor.leases.inspections.take(self._executor.leases.of_family(run.family))
        return condition()

    @_statuses
    async def StopExecution(
        self, request: pb.StopExecutionRequest, context: Context
    ) -> pb.StopExecutionResponse:
        run = self._executor.run(request.execution_arn)
        now = run.now
        self._executor.feed(run, ev.Stopped(now, codec.error_from_proto(request.error)))
        return pb.StopExecutionResponse(stop_ms=run.execution.root.end_ms or now)

    @_statuses
    async def AdvanceTime(
        self, request: pb.AdvanceTimeRequest, context: Context
    ) -> pb.AdvanceTimeResponse:
        if request.execution_arn:
            families = [self._executor.run(request.execution_arn).family]
        else:
            runs = self._executor.workspace(request.workspace_id).runs.values()
            families = list({id(run.family): run.family for run in runs}.values())
        advance = self._executor.timekeeper.advance
        await asyncio.gather(*(advance(family, request.duration_ms) for family in families))
        return pb.AdvanceTimeResponse()

    # -- callbacks -------------------------------------------------------------------------

    @_statuses
    async def AwaitCallback(
        self, request: pb.AwaitCallbackRequest, context: Context
    ) -> pb.AwaitCallbackResponse:
        run = self._executor.run(request.execution_arn)

        def found() -> list[Operation]:
            return run.open_callbacks(request.name)

        with self._executor.timekeeper.awaiting_callback(run.family):
            await self._until(run, lambda: bool(found()) or run.execution.ended, request.timeout_ms)
            callbacks = found()
            status = codec.execution_status_to_proto(run.execution.status)
            if not callbacks:
                why = waiting_for(self._executor.leases, run)
                return pb.AwaitCallbackResponse(waiting_for=why, status=status)
            callback = min(callbacks, key=lambda operation: operation.id in run.disclosed)
            run.disclosed[callback.id] = asyncio.get_running_loop().time()
        return pb.AwaitCallbackResponse(callback_id=callback.callback_id or "", status=status)

    @_statuses
    async def CompleteCallback(
        self, request: pb.CompleteCallbackRequest, context: Context
    ) -> pb.CompleteCallbackResponse:
        callback_id = request.callback_id

        def event(
            now: int,
        ) -> ev.CallbackSucceeded | ev.CallbackFailed | ev.CallbackHeartbeat:
            match request.WhichOneof("completion"):
                case "success":
                    given = request.success.HasField("result")
                    result = request.success.result if given else None
                    return ev.CallbackSucceeded(now, callback_id, result)
                case "failure":
                    error = codec.error_from_proto(request.failure.error)
                    return ev.CallbackFailed(now, callback_id, error)
                case "heartbeat":
                    return ev.CallbackHeartbeat(now, callback_id)
                case _:
                    raise InvalidParameterValue("A callback's completion is missing.")

        self._executor.complete_callback(callback_id, event)
        return pb.CompleteCallbackResponse()

    # -- what there is ---------------------------------------------------------------------

    @_statuses
    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        if log.info(__name__) is not None:
            # Whoever asks may read the log next: pytest does, of each test.
            await asyncio.to_thread(log.flush)
        return status(self._executor, self._coordinator_id)


def _plan(faults: Sequence[str]) -> Plan | None:
    return Plan([Fault.parse(text) for text in faults]) if faults else None


def _lambda_service() -> ModuleType:
    """Import the module only now, and off the event loop: few need it, and it takes a while."""
    from . import lambda_service

    return lambda_service
