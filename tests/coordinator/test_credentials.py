"""What a worker's own credential is good for, and everything that it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Any

import grpc
import pytest
import pytest_asyncio

from async_durable_execution_runner.errors import Unauthenticated
from async_durable_execution_runner.rpc.v1 import control_pb2 as control
from async_durable_execution_runner.rpc.v1 import model_pb2 as model
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.worker.connection import Connection
from async_durable_execution_runner.worker.recorder import EffectRecorder
from async_durable_execution_runner.worker.sdk.async_models import CheckpointError
from async_durable_execution_runner.worker.sdk.official import OfficialClient
from async_durable_execution_runner.worker.sdk.service_client import GrpcServiceClient

from .wire import (
    CoordinatorProcess,
    Leased,
    Refused,
    Runner,
    Stream,
    Wire,
    checkpoint,
    step,
    worker_hello,
)

pytestmark = pytest.mark.processes

Code = grpc.StatusCode
CONTROL = control.DESCRIPTOR.services_by_name["ControlService"]


class Process:
    """A worker process as its host starts it: with nothing but its id and its credential."""

    def __init__(self, wire: Wire, worker_id: str) -> None:
        self.wire, self.id = wire, worker_id

    async def refusal(self, method: str, *messages: Any) -> Refused:
        return await self.wire.stream(method).refusal(*messages)

    async def records(self, request_id: str) -> None:
        effect = pb.RecordEffectRequest(request_id=request_id, name="charge", data="{}")
        try:
            await self.wire.workers.RecordEffect(effect, metadata=self.wire.metadata)
        except grpc.aio.AioRpcError as error:
            raise Refused(error.code(), error.details() or "") from None


@asynccontextmanager
async def started(address: str, runner: Runner, host: Stream) -> AsyncIterator[Process]:
    """A worker that the coordinator has asked for, before its session is open."""
    start = (await host.next()).start
    async with Wire(address, start.credential, start.worker_id) as wire:
        yield Process(wire, start.worker_id)


@pytest_asyncio.fixture
async def runner(wire: Wire) -> AsyncIterator[Runner]:
    async with wire.runner(workers=3) as runner:
        await runner.register(isolation=control.ISOLATION_WORKER)
        yield runner


@pytest_asyncio.fixture
async def two(
    coordinator: CoordinatorProcess, wire: Wire, runner: Runner
) -> AsyncIterator[list[tuple[Process, Leased]]]:
    """Two workers, each in the middle of an invocation."""
    host = await wire.host()
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            arn = await runner.start()
            each = await stack.enter_async_context(started(coordinator.address, runner, host))
            session = await each.wire.session(each.id)
            found.append((each, Leased(runner, session, (await session.next()).invocation, arn)))
        yield found
        host.vanish()


async def test_a_worker_serves_with_its_own_credential(two: list[tuple[Process, Leased]]) -> None:
    for process, leased in two:
        checkpoints = process.wire.stream("Checkpoint")
        reply = await checkpoints.ask(checkpoint(leased.invocation, step("one")))
        assert not reply.HasField("error"), reply.error
        await process.records(leased.invocation.request_id)
        await leased.ends_well()


@pytest.mark.parametrize("method", CONTROL.methods_by_name)
async def test_it_is_not_good_for_what_runners_ask(
    two: list[tuple[Process, Leased]], method: str
) -> None:
    wire = two[0][0].wire
    call = wire.channel.stream_stream(
        f"/{CONTROL.full_name}/{method}", request_serializer=bytes, response_deserializer=bytes
    )
    assert (await Stream(call(metadata=wire.metadata)).refusal()).code is Code.UNAUTHENTICATED


async def test_it_is_not_good_for_anothers_callback(two: list[tuple[Process, Leased]]) -> None:
    (thief, _), (owner, leased) = two
    update = model.OperationUpdate(
        id="approval",
        type=model.OPERATION_TYPE_CALLBACK,
        action=model.OPERATION_ACTION_START,
    )
    reply = await owner.wire.stream("Checkpoint").ask(checkpoint(leased.invocation, update))
    callback_id = reply.operations[0].callback_id
    request = control.CompleteCallbackRequest(
        callback_id=callback_id, success=control.CallbackSuccess(result="stolen")
    )
    with pytest.raises(Refused) as refused:
        await thief.wire.ask("CompleteCallback", request)
    assert refused.value.code is Code.UNAUTHENTICATED


async def test_it_is_not_good_for_a_host(two: list[tuple[Process, Leased]]) -> None:
    assert (await two[0][0].refusal("Supervise")).code is Code.UNAUTHENTICATED


@pytest.mark.parametrize("marker", [None, ""], ids=["checkpoint", "state"])
async def test_it_is_not_good_for_anothers_execution(
    two: list[tuple[Process, Leased]], marker: str | None
) -> None:
    (thief, _), (_, leased) = two
    request = checkpoint(leased.invocation, *([] if marker is not None else [step("stolen")]))
    if marker is not None:
        request.marker = marker
    refusal = await thief.refusal("Checkpoint", request)
    assert refusal.code is Code.PERMISSION_DENIED
    assert refusal.details == f"Execution {leased.arn!r} was never given to worker {thief.id}."
    await leased.ends_well()


async def test_it_is_not_good_for_anothers_effects(two: list[tuple[Process, Leased]]) -> None:
    (thief, _), (_, leased) = two
    request_id = leased.invocation.request_id
    with pytest.raises(Refused) as refused:
        await thief.records(request_id)
    assert refused.value.code is Code.PERMISSION_DENIED
    assert (
        refused.value.details == f"Invocation {request_id!r} was never given to worker {thief.id}."
    )


async def test_a_refused_handler_does_not_read_that_the_coordinator_is_gone(
    coordinator: CoordinatorProcess, two: list[tuple[Process, Leased]]
) -> None:
    (thief, _), (_, leased) = two
    credential = thief.wire.metadata[0][1].removeprefix("Bearer ")
    connection = Connection(coordinator.address, credential, thief.id)
    token = leased.invocation.checkpoint_token

    def asynchronous() -> None:
        loop, client = asyncio.new_event_loop(), GrpcServiceClient(connection)
        try:
            loop.run_until_complete(client.checkpoint(leased.arn, token, [], None))
        finally:
            client.close()

    def official() -> None:
        with closing(OfficialClient(connection)) as client:
            client.checkpoint_durable_execution(
                DurableExecutionArn=leased.arn, CheckpointToken=token, Updates=[]
            )

    def effect() -> None:
        with closing(EffectRecorder(connection)) as recorder:
            recorder.of(leased.invocation, lambda _: None)("charge", None, {})

    words = (
        "CheckpointDurableExecution failed: the runner's coordinator refused it: "
        f"Execution {leased.arn!r} was never given to worker {thief.id}."
    )
    for call in (asynchronous, official):
        with pytest.raises((CheckpointError, RuntimeError)) as refused:
            await asyncio.to_thread(call)
        assert str(refused.value) == words
    with pytest.raises(Unauthenticated, match="The effect 'charge' was not recorded: Invocation"):
        await asyncio.to_thread(effect)


async def test_it_is_good_for_one_session(
    coordinator: CoordinatorProcess,
    wire: Wire,
    runner: Runner,
    two: list[tuple[Process, Leased]],
) -> None:
    """Not for a second one, not for another worker's, and not for that of a thread of the test."""
    (thief, _), (busy, _) = two
    host = await wire.host(slots=40)
    await runner.start()
    async with started(coordinator.address, runner, host) as expected:
        for hello in (
            worker_hello(thief.id),
            worker_hello(busy.id),
            worker_hello(expected.id),
            worker_hello(thief.id, runner.id),
            worker_hello("new", runner.id),
        ):
            refusal = await thief.refusal("Session", pb.SessionRequest(hello=hello))
            assert refusal.code is Code.PERMISSION_DENIED
        # Nor does it help to take the other's name.
        thief.wire.metadata = (thief.wire.metadata[0], ("worker-id", expected.id))
        assert (await thief.refusal("Session")).code is Code.UNAUTHENTICATED
        await expected.wire.session(expected.id)
    host.vanish()


async def test_who_was_given_up_gets_the_services_own_answer(
    two: list[tuple[Process, Leased]],
) -> None:
    process, leased = two[0]
    await leased.ends_well()
    late = process.wire.stream("Checkpoint")
    reply = await late.ask(checkpoint(leased.invocation, step("late")))
    assert reply.error.message == "Invalid checkpoint token"
    leased.session.vanish()
    await process.records(leased.invocation.request_id)
