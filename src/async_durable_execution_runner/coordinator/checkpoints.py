"""`Checkpoints`: decodes checkpoints and reads of the state for the executor, and encodes what
comes of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import grpc

from .. import log
from ..core import limits
from ..core.model import OperationUpdate
from ..errors import InvalidCheckpointToken, InvalidParameterValue, ServiceError
from ..rpc import codec
from ..rpc.bounds import TooMuch
from ..rpc.v1 import model_pb2
from ..rpc.v1 import worker_pb2 as pb
from . import messages
from .calls import Context, refuse, worker_id
from .executor import Executor
from .injector import Answer, Injector, Refuse, Tell
from .rounds import Answers, Rounds
from .sources import Sources

_logger = logging.getLogger(__name__)


class Checkpoints:
    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._rounds = Rounds(self._take_timed)

    async def serve(self, context: Context, speaker: str) -> None:
        """Answer the checkpoints of a stream, for the worker `speaker`; "" for one that may speak
        for every worker."""
        answers = Answers(context)
        try:
            await self._take_all(context, speaker, answers)
        finally:
            answers.end()

    async def _take_all(self, context: Context, speaker: str, answers: Answers) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            await answers.done()
            if isinstance(request, TooMuch):
                error = InvalidParameterValue(f"The checkpoint is too large: {request.why}")
                refusal = codec.service_error_to_proto(error)
                await context.write(pb.CheckpointResponse(error=refusal))
                continue
            if speaker and not self._may_speak_of(request.execution_arn, speaker):
                await refuse(
                    context,
                    grpc.StatusCode.PERMISSION_DENIED,
                    f"Execution {request.execution_arn!r} was never given to worker {speaker}.",
                )
            injector = self._executor.injectors.get(request.execution_arn)
            if injector is None:
                self._rounds.take(request, answers)
            else:
                await self._take_with_faults(request, injector, context)
        await answers.done()

    async def _take_with_faults(
        self, request: pb.CheckpointRequest, injector: Injector, context: Context
    ) -> None:
        asker = worker_id(context)

        def act() -> pb.CheckpointResponse:
            return self._take(request)

        if request.HasField("marker"):
            answer = await injector.state_read(asker, act)
        else:
            try:
                updates = _updates(request)
            except ServiceError:
                updates = ()
            token = request.checkpoint_token
            answer = await injector.checkpoint(asker, token, updates, act, messages.refusal)
        match answer:
            case Answer.SILENCE:
                # The call waits until the worker is gone, and the stream with the worker.
                await asyncio.get_running_loop().create_future()
            case Answer.CUT:
                await refuse(context, grpc.StatusCode.UNAVAILABLE, "the connection was cut")
            case Tell():
                await context.write(pb.CheckpointResponse(misdeed=messages.misdeed(answer)))
            case Refuse():
                error = model_pb2.ServiceError(
                    code=answer.code, message=answer.message, http_status=answer.http_status
                )
                await context.write(pb.CheckpointResponse(error=error))
            case pb.CheckpointResponse():
                if not answer.HasField("error"):
                    # The fault may have been time that passed meanwhile.
                    answer.clock_ahead_ms = self._ahead_ms(request.execution_arn)
                await context.write(answer)

    def _take_timed(self, request: pb.CheckpointRequest) -> pb.CheckpointResponse:
        began = time.perf_counter()
        answer = self._take(request)
        self._executor.pool.tallies.checkpoint_took(time.perf_counter() - began)
        return answer

    def _take(self, request: pb.CheckpointRequest) -> pb.CheckpointResponse:
        sources = None
        # Each look at a text makes it anew.
        arn = request.execution_arn
        try:
            if request.HasField("marker"):
                run = self._executor.run(arn)
                operations, marker = run.execution.read_state(
                    request.checkpoint_token, request.marker, request.max_items
                )
                sources, token = messages.sources(run, operations), None
            else:
                updates = _updates(request)
                reply = self._executor.checkpoint(
                    arn,
                    request.checkpoint_token,
                    updates,
                    request.client_token if request.HasField("client_token") else None,
                )
                operations, marker, token = reply.operations, reply.next_marker, reply.token
                if request.sources:
                    _note_sources(self._executor.runs[arn].sources, request.sources, updates)
        except ServiceError as error:
            why = f": {error.why}" if isinstance(error, InvalidCheckpointToken) else ""
            _logger.info("%s !! checkpoint refused: %s%s", log.short(arn), error, why)
            return pb.CheckpointResponse(error=codec.service_error_to_proto(error))
        answer = pb.CheckpointResponse(
            checkpoint_token=token,
            next_marker=marker,
            sources=sources,
            clock_ahead_ms=self._ahead_ms(arn),
        )
        codec.extend(answer.operations, codec.operation_to_proto, operations)
        return answer

    def _ahead_ms(self, arn: str) -> int:
        run = self._executor.runs.get(arn)
        return 0 if run is None else run.family.clock.ahead_ms

    def _may_speak_of(self, arn: str, worker_id: str) -> bool:
        """Return whether the worker has or had an invocation of the execution. What is not known is
        not decided here: it gets the service's own answer."""
        run = self._executor.runs.get(arn)
        if run is None or (run.lease is not None and run.lease.worker.id == worker_id):
            return True
        return self._executor.effects.was_given(worker_id, arn)


def _updates(request: pb.CheckpointRequest) -> tuple[OperationUpdate, ...]:
    updates = request.updates
    limits.check_updates(len(updates))
    return tuple(map(codec.update_from_proto, updates))


def _note_sources(known: Sources, sources: Any, updates: Sequence[OperationUpdate]) -> None:
    for update, place in zip(updates, range(len(sources)), strict=False):
        if known.has(update.id):
            continue
        source = sources[place]
        if line := source.line:
            known.note(update.id, line, source.in_task)
