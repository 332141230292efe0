"""`WorkerService`: decodes the calls of worker hosts and workers for the executor and the pool."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc

from ..core.model import ErrorObject
from ..errors import ServiceError
from ..rpc import PROTOCOL_VERSION, codec
from ..rpc.bounds import TooMuch
from ..rpc.v1 import worker_pb2 as pb
from ..rpc.v1.worker_pb2_grpc import WorkerServiceServicer
from ..security.credentials import Credentials
from . import messages
from .calls import Context, refuse, worker_id
from .checkpoints import Checkpoints
from .executor import Executor
from .injector import Answer, Tell
from .runs import Run
from .workers import ConnectedHost, Job, Stacks, Worker, WorkerState

_logger = logging.getLogger(__name__)


class WorkerService(WorkerServiceServicer):
    def __init__(self, executor: Executor, coordinator_id: str, credentials: Credentials) -> None:
        self._executor = executor
        self._credentials = credentials
        self._pool = executor.pool
        self._coordinator_id = coordinator_id
        self._writes: set[asyncio.Task[None]] = set()
        self._checkpoints = Checkpoints(executor)
        #: The port that workers call, where it is another than their hosts'.
        self.port = 0

    # -- hosts -----------------------------------------------------------------------------

    async def Supervise(self, _: Any, context: Context) -> None:
        hello = (await _first(context)).hello
        await _check_version(context, hello.protocol_version, "worker host")
        if hello.host_id in self._pool.hosts:
            await refuse(
                context,
                grpc.StatusCode.ALREADY_EXISTS,
                f"A worker host named {hello.host_id} is connected already.",
            )

        outbox: asyncio.Queue[pb.SuperviseResponse] = asyncio.Queue()

        def start_worker(worker_id: str) -> None:
            credential = self._credentials.of(worker_id)
            start = pb.StartWorker(
                worker_id=worker_id,
                credential=credential,
                sdks=sorted(self._pool.sdks),
                coverage=self._pool.coverage,
            )
            outbox.put_nowait(pb.SuperviseResponse(start=start))

        def kill_worker(worker_id: str) -> None:
            kill = pb.KillWorker(worker_id=worker_id)
            outbox.put_nowait(pb.SuperviseResponse(kill=kill))

        def limit_memory(worker_id: str, limit: int) -> None:
            message = pb.LimitMemory(worker_id=worker_id, bytes=limit)
            outbox.put_nowait(pb.SuperviseResponse(limit_memory=message))

        def stop_worker(worker_id: str, stop: bool) -> None:
            signal = pb.WORKER_SIGNAL_STOP if stop else pb.WORKER_SIGNAL_CONTINUE
            message = pb.SignalWorker(worker_id=worker_id, signal=signal)
            outbox.put_nowait(pb.SuperviseResponse(signal=message))

        def die() -> None:
            outbox.put_nowait(pb.SuperviseResponse(die=pb.Die()))

        def take_stacks(worker_id: str, request_id: str) -> None:
            message = pb.TakeStacks(worker_id=worker_id, request_id=request_id)
            outbox.put_nowait(pb.SuperviseResponse(take_stacks=message))

        host = ConnectedHost(
            hello.host_id,
            hello.pid,
            hello.slots,
            dict(hello.labels),
            start_worker,
            kill_worker,
            limit_memory,
            stop_worker,
            die,
            take_stacks,
        )
        welcome = pb.HostWelcome(coordinator_id=self._coordinator_id, workers_port=self.port)
        await context.write(pb.SuperviseResponse(welcome=welcome))
        writer = asyncio.create_task(_pass_on(outbox, context))
        self._pool.add_host(host)
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                exited = message.exited
                if message.WhichOneof("message") == "exited" and exited.worker_id in host.workers:
                    self._pool.worker_exited(exited.worker_id, messages.read_exit(exited))
                if message.WhichOneof("message") == "draining":
                    self._pool.drain(host)
                if message.WhichOneof("message") == "code_changed":
                    self._pool.retire_on(host)
                    outbox.put_nowait(pb.SuperviseResponse(code_dropped=pb.CodeDropped()))
                taken = message.stacks
                if message.WhichOneof("message") == "stacks" and taken.worker_id in host.workers:
                    written = tuple(messages.read_lines(taken.output))
                    stacks = Stacks(tuple(taken.dumps), taken.verdict, written)
                    inspections = self._executor.leases.inspections
                    inspections.answered(taken.worker_id, taken.request_id, stacks)
        finally:
            writer.cancel()
            self._pool.remove_host(host)

    # -- workers ---------------------------------------------------------------------------

    async def Session(self, _: Any, context: Context) -> None:
        hello = (await _first(context)).hello
        await _check_version(context, hello.protocol_version, "worker")
        worker = await self._admit(hello, context)
        last: asyncio.Task[None] | None = None

        def send(job: Job, needs_code: bool) -> None:
            nonlocal last
            lease = self._executor.leases.of(job.request_id)
            assert lease is not None
            message = messages.invocation(lease, needs_code)
            first: asyncio.Task[Any] | None = last
            injector = self._executor.injectors.get(job.execution_arn)
            if injector is not None and (instead := injector.started(lease)) is not None:
                if isinstance(instead, asyncio.Event):
                    first = asyncio.create_task(_both(last, instead))
                elif isinstance(instead, Tell):
                    message.invocation.misdeed.CopyFrom(messages.misdeed(instead))
                else:
                    # The worker will be killed before it hears of the invocation.
                    return
            last = asyncio.create_task(_write_after(first, context, message))
            self._writes.add(last)
            last.add_done_callback(lambda write: self._written(write, worker))

        try:
            await context.write(pb.SessionResponse(welcome=pb.WorkerWelcome()))
            self._pool.greet(worker, hello.pid, send)
            while (message := await context.read()) is not grpc.aio.EOF:
                if isinstance(message, TooMuch):
                    await refuse(
                        context,
                        grpc.StatusCode.INVALID_ARGUMENT,
                        f"The result is too large: {message.why}",
                    )
                if message.WhichOneof("message") != "result":
                    await refuse(
                        context,
                        grpc.StatusCode.INVALID_ARGUMENT,
                        "Expected an invocation's result.",
                    )
                if await self._struck(worker, message.result, context):
                    continue
                await self._returned(worker, message.result, context)
        finally:
            self._pool.session_ended(worker)

    def _written(self, write: asyncio.Task[None], worker: Worker) -> None:
        """End the session of a worker that could not be told of its lease, as it will never return
        the lease."""
        self._writes.discard(write)
        if write.cancelled() or write.exception() is not None:
            self._pool.session_ended(worker)

    async def _admit(self, hello: pb.WorkerHello, context: Context) -> Worker:
        known = self._pool.workers.get(hello.worker_id)
        speaker = self._speaker(context)
        if speaker and (hello.worker_id != speaker or hello.inline_workspace_id):
            await refuse(
                context,
                grpc.StatusCode.PERMISSION_DENIED,
                f"The credential of worker {speaker} is good for the session of that worker only.",
            )
        if hello.inline_workspace_id:
            if hello.inline_workspace_id not in self._executor.workspaces:
                await refuse(
                    context, grpc.StatusCode.NOT_FOUND, "The inline worker's runner is closed."
                )
            if known is None:
                worker = Worker(hello.worker_id, None)
                worker.inline_workspace_id = hello.inline_workspace_id
                self._pool.add_inline(worker)
                return worker
        elif known is not None and known.state is WorkerState.STARTING and not known.admitted:
            known.admitted = True
            return known
        await refuse(
            context,
            grpc.StatusCode.PERMISSION_DENIED,
            f"No worker named {hello.worker_id!r} is expected; "
            "workers are started by their worker host.",
        )

    async def _returned(
        self, worker: Worker, result: pb.InvocationResult, context: Context
    ) -> None:
        if result.request_id != worker.last_request_id:
            await refuse(
                context,
                grpc.StatusCode.PERMISSION_DENIED,
                f"Invocation {result.request_id!r} was never leased to worker {worker.id}.",
            )
        outcome: str | ErrorObject
        if result.WhichOneof("outcome") == "error":
            outcome = codec.error_from_proto(result.error)
        else:
            outcome = result.output
        lines = messages.read_lines(result.lines)
        divergences = [codec.divergence_from_proto(each) for each in result.divergences]
        if result.unfit:
            worker.retired = f"it cannot be used again: {result.unfit}"
        self._executor.leases.returned(
            worker, result.request_id, outcome, lines, result.lines_truncated, divergences
        )

    async def _struck(self, worker: Worker, result: pb.InvocationResult, context: Context) -> bool:
        """Return whether a planned fault took the place of this result."""
        lease = self._executor.leases.of(result.request_id)
        if lease is None or lease.worker is not worker or not isinstance(lease.subject, Run):
            return False
        injector = self._executor.injectors.get(lease.job.execution_arn)
        instead = None if injector is None else await injector.returned(worker)
        if isinstance(instead, Tell):
            await context.write(pb.SessionResponse(misdeed=messages.misdeed(instead)))
        return instead is not None

    # -- checkpoints -----------------------------------------------------------------------

    async def Checkpoint(self, _: Any, context: Context) -> None:
        await self._checkpoints.serve(context, self._speaker(context))

    def _speaker(self, context: Context) -> str:
        """Return the id of the worker that the call may speak for, and for no other; "" where it
        came with the token."""
        return self._credentials.worker(context.invocation_metadata())

    # -- effects ---------------------------------------------------------------------------

    async def RecordEffect(
        self, request: pb.RecordEffectRequest | TooMuch, context: Context
    ) -> pb.RecordEffectResponse:
        if isinstance(request, TooMuch):
            await refuse(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                f"The effect is too large: {request.why}",
            )
        speaker = self._speaker(context)
        owner = self._executor.effects.worker_of(request.request_id)
        if speaker and owner and owner != speaker:
            await refuse(
                context,
                grpc.StatusCode.PERMISSION_DENIED,
                f"Invocation {request.request_id!r} was never given to worker {speaker}.",
            )
        try:
            effect = self._executor.effects.enter(codec.recorded_effect_from_proto(request))
        except ServiceError as error:
            await refuse(context, grpc.StatusCode[error.grpc_status], error.message)
        injector = self._executor.injectors.get(effect.execution_arn)
        instead = None
        if injector is not None and not effect.stale:
            instead = await injector.effect(
                worker_id(context), effect.name, effect.operation_id or ""
            )
        if instead is Answer.SILENCE:
            await asyncio.get_running_loop().create_future()
        misdeed = messages.misdeed(instead) if isinstance(instead, Tell) else None
        return pb.RecordEffectResponse(misdeed=misdeed)


async def _pass_on(outbox: asyncio.Queue[pb.SuperviseResponse], context: Context) -> None:
    while True:
        await context.write(await outbox.get())


async def _both(before: asyncio.Task[Any] | None, event: asyncio.Event) -> None:
    if before is not None:
        await asyncio.wait([before])
    await event.wait()


async def _write_after(
    before: asyncio.Task[Any] | None, context: Context, message: pb.SessionResponse
) -> None:
    # A result can come before the write of its invocation is known to be done, and until then gRPC
    # refuses a second write on the stream.
    if before is not None and not before.done():
        await asyncio.wait([before])
    await context.write(message)


async def _first(context: Context) -> Any:
    message = await context.read()
    if (
        isinstance(message, TooMuch)
        or message is grpc.aio.EOF
        or message.WhichOneof("message") != "hello"
    ):
        await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "Expected a hello first.")
    return message


async def _check_version(context: Context, version: int, who: str) -> None:
    if version != PROTOCOL_VERSION:
        await refuse(
            context,
            grpc.StatusCode.FAILED_PRECONDITION,
            f"The {who} speaks protocol version {version} and the coordinator "
            f"{PROTOCOL_VERSION}: install the same async-durable-execution-runner on both sides.",
        )
