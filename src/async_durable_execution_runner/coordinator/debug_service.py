"""`DebugService`: decodes the calls of handlers in a debugger, and of the process of their user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext

import grpc

from ..core import events as ev
from ..core.model import ErrorObject
from ..rpc.bounds import TooMuch
from ..rpc.v1 import debug_pb2 as pb
from ..rpc.v1.debug_pb2_grpc import DebugServiceServicer
from ..security.credentials import Credentials
from .calls import Context
from .debuggers import User
from .executor import Executor
from .runs import Lease


class DebugService(DebugServiceServicer):
    def __init__(self, executor: Executor, credentials: Credentials) -> None:
        self._executor = executor
        self._debuggers = executor.debuggers
        self._credentials = credentials

    # -- the user's process ----------------------------------------------------------------

    async def Follow(
        self, request: pb.FollowRequest, context: Context
    ) -> AsyncIterator[pb.FollowResponse]:
        user = self._debuggers.users[request.user_id] = User()
        try:
            yield pb.FollowResponse()
            async for news in user:
                yield news
        finally:
            del self._debuggers.users[request.user_id]
            user.close()

    async def Answer(self, request: pb.AnswerRequest, context: Context) -> pb.AnswerResponse:
        if user := self._debuggers.users.get(request.user_id):
            user.answer(request.stop_id, request.line)
        return pb.AnswerResponse()

    # -- workers ---------------------------------------------------------------------------

    async def Stop(self, _: object, context: Context) -> None:
        request = await context.read()
        if isinstance(request, TooMuch) or request is grpc.aio.EOF:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Expected an invocation first.")
        lease = self._executor.leases.of(request.request_id)
        speaker = self._credentials.worker(context.invocation_metadata())
        if lease is not None and speaker and lease.worker.id != speaker:
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED,
                f"Invocation {request.request_id!r} was never given to worker {speaker}.",
            )
        user = None if lease is None else self._debuggers.user_of(lease)
        if lease is None or user is None:
            why = "The invocation is over, or nobody is there to debug it."
            await context.abort(grpc.StatusCode.NOT_FOUND, why)
            raise AssertionError("abort raises")
        with self._debuggers.standing_still(lease):
            await user.turn.acquire()
        try:
            await self._deal(lease, user, request, context)
        finally:
            user.turn.release()

    async def _deal(
        self, lease: Lease, user: User, first: pb.StopRequest, context: Context
    ) -> None:
        """Pass on between a stopped handler, which said `first`, and the user, whose turn it is."""
        stop_id, quits = self._executor.new_id(), False
        began = "" if first.known else first.place
        user.tell(pb.FollowResponse(stop_id=stop_id, began=began))
        try:
            await context.write(pb.StopResponse())
            request = first
            while request is not grpc.aio.EOF:
                if isinstance(request, TooMuch):
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, request.why)
                if request.output:
                    user.tell(pb.FollowResponse(stop_id=stop_id, output=request.output))
                if request.quits:
                    quits = True
                    self._stop_executions(lease, first.place)
                if request.reads:
                    with self._debuggers.standing_still(lease):
                        line = await user.ask(stop_id)
                    await context.write(pb.StopResponse(line=line))
                with self._debuggers.standing_still(lease) if request.holds else nullcontext():
                    request = await context.read()
        finally:
            user.tell(pb.FollowResponse(stop_id=stop_id, over=quits))

    def _stop_executions(self, lease: Lease, place: str) -> None:
        error = ErrorObject(f"The debugger was quit: {place}.", "BdbQuit")
        for run in () if lease.subject.family is None else [*lease.subject.family.runs.values()]:
            if not run.execution.ended:
                self._executor.feed(run, ev.Stopped(run.now, error))
