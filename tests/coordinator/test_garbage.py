"""Bytes and messages that make no sense, and requests for what is not there."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

import grpc
import pytest

from async_durable_execution_runner.rpc.v1 import control_pb2 as control
from async_durable_execution_runner.rpc.v1 import model_pb2 as model
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb

from .wire import (
    LIMIT,
    SUCCEEDED,
    Leased,
    Refused,
    Wire,
    checkpoint,
    host_hello,
    nap,
    result_of,
    step,
    worker_hello,
)

pytestmark = pytest.mark.processes

Code = grpc.StatusCode
METHODS = ["Supervise", "Session", "Checkpoint"]
GARBAGE = [b"\xff" * 40, b"\x0a", b"\x08" * 9, bytes(range(256))]


async def refused(request: Any) -> Refused:
    with pytest.raises(Refused) as refusal:
        await request
    return refusal.value


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: garbage[:4].hex())
async def test_bytes_that_are_no_message_end_their_own_stream_only(
    wire: Wire, leased: Leased, method: str, garbage: bytes
) -> None:
    refusal = await wire.stream(method, raw=True).refusal(garbage)
    assert "DecodeError" in refusal.details
    await leased.ends_well()


async def test_an_unknown_method_is_unimplemented(wire: Wire) -> None:
    assert (await wire.stream("Launch", raw=True).refusal()).code is Code.UNIMPLEMENTED


async def test_random_messages(wire: Wire, leased: Leased) -> None:
    """Well-formed protobuf of random content, byte soup, and both spliced, on every stream."""
    chance = random.Random(20250101)
    templates = [
        checkpoint(leased.invocation, step("one"), nap("two")).SerializeToString(),
        pb.SuperviseRequest(hello=host_hello()).SerializeToString(),
        pb.SuperviseRequest(exited=pb.WorkerExited(worker_id="honest")).SerializeToString(),
        pb.SessionRequest(hello=worker_hello(workspace_id=leased.runner.id)).SerializeToString(),
        result_of(leased.invocation, {"Status": "PENDING"}).SerializeToString(),
    ]

    def message() -> bytes:
        data = bytearray(chance.choice(templates))
        # Never the token itself: with it, a checkpoint would be this worker's own.
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(len(data) or 1)
            match chance.randrange(3):
                case 0 if data:
                    data[place] = chance.randrange(256)
                case 1:
                    data[place:place] = chance.randbytes(chance.randint(1, 5))
                case _:
                    del data[place : place + chance.randint(1, 20)]
        return bytes(data).replace(leased.invocation.checkpoint_token.encode(), b"x")

    async def one(method: str) -> None:
        stream = wire.stream(method, raw=True)
        with suppress(Refused):
            for _ in range(chance.randint(1, 4)):
                await stream.send(message())
        stream.vanish()

    async with asyncio.timeout(LIMIT):
        for _ in range(300):
            await one(chance.choice(METHODS))
    await leased.ends_well()


async def test_random_checkpoints_in_the_name_of_a_lease(wire: Wire, leased: Leased) -> None:
    """The worker itself is hostile: every answer is a reply or a refusal, never silence."""
    chance = random.Random(20250102)
    stream = wire.stream("Checkpoint")
    token = leased.invocation.checkpoint_token
    texts = ["", "a", "b", "order", "arn:::", "arn:aws:lambda:eu-west-1:1:function:x", "é" * 50]
    numbers = [0, 1, 2, 3, 60, -1, 2**31 - 1]

    def update() -> model.OperationUpdate:
        found = model.OperationUpdate(id=f"op-{chance.randrange(60)}")
        # Mostly a STEP or a CONTEXT, mostly with few options: some must be accepted.
        found.type = chance.choice([2, 3, 3, 4, 5, 6, 7])
        found.action = chance.choice([1, 1, 2, 3, 4, 5, 6])
        for field in model.OperationUpdate.DESCRIPTOR.fields[3:]:
            if chance.random() < 0.85:
                continue
            if field.name == "error":
                found.error.message = chance.choice(texts)
            elif field.cpp_type == field.CPPTYPE_STRING:
                setattr(found, field.name, chance.choice(texts))
            else:
                number = chance.choice(numbers)
                setattr(found, field.name, number if field.cpp_type != field.CPPTYPE_BOOL else True)
        return found

    accepted = 0
    for _ in range(600):
        batch = [update() for _ in range(chance.randint(0, 3))]
        request = checkpoint(leased.invocation, *batch)
        request.checkpoint_token = token
        reply = await stream.ask(request)
        if not reply.HasField("error"):
            token, accepted = reply.checkpoint_token, accepted + bool(batch)
    assert accepted > 10
    await leased.session.send(result_of(leased.invocation, SUCCEEDED))
    page = await leased.runner.result(leased.arn)
    assert page.head.status == model.EXECUTION_STATUS_SUCCEEDED


# -- effects -------------------------------------------------------------------------------


async def record(wire: Wire, **said: Any) -> Any:
    request = pb.RecordEffectRequest(**({"name": "charge", "data": "{}"} | said))
    try:
        return await wire.workers.RecordEffect(request, metadata=wire.metadata, timeout=LIMIT)
    except grpc.aio.AioRpcError as error:
        raise Refused(error.code(), error.details() or "") from None


@pytest.mark.parametrize(
    "said",
    [
        {"name": ""},
        {"data": ""},
        {"data": "[]"},
        {"data": "{"},
        {"data": "[" * 100_000},
        {"key": "order-1"},
        {"key": ""},
        {"key": "[" * 100_000},
    ],
    ids=lambda said: str(said)[:20],
)
async def test_an_effect_that_a_test_could_not_read_is_refused(
    wire: Wire, leased: Leased, said: dict[str, str]
) -> None:
    refusal = await refused(record(wire, request_id=leased.invocation.request_id, **said))
    assert refusal.code is Code.INVALID_ARGUMENT
    await leased.ends_well()


@pytest.mark.parametrize("request_id", ["", "x", "é" * 1000])
async def test_an_effect_of_nobody_is_refused(wire: Wire, request_id: str) -> None:
    refusal = await refused(record(wire, request_id=request_id))
    assert refusal.code is Code.NOT_FOUND
    assert refusal.details == f"Invocation not found: {request_id}"


async def test_an_effect_of_an_operation_that_nobody_knows(wire: Wire, leased: Leased) -> None:
    """It may come before its step's start: only the worker can tell."""
    said = {"operation_id": "x" * 10_000, "attempt": -7}
    await record(wire, request_id=leased.invocation.request_id, **said)
    await leased.session.send(result_of(leased.invocation, SUCCEEDED))
    (effect,) = (await leased.runner.result(leased.arn)).effects
    assert (effect.attempt, effect.invocation) == (-7, 1)


@pytest.mark.parametrize("garbage", [*GARBAGE, b""], ids=lambda garbage: garbage[:4].hex())
async def test_bytes_that_are_no_effect(wire: Wire, leased: Leased, garbage: bytes) -> None:
    path = "/async_durable_execution_runner.rpc.v1.WorkerService/RecordEffect"
    with pytest.raises(grpc.aio.AioRpcError):
        await wire.channel.unary_unary(path)(garbage, metadata=wire.metadata, timeout=LIMIT)
    await leased.ends_well()


async def record_of(wire: Wire, arn: str) -> list[Any]:
    """The pages of what has become of an execution."""
    request = control.AwaitExecutionRequest(
        execution_arn=arn, until=control.AWAIT_UNTIL_NOW, timeout_ms=1000
    )
    call = wire.control.AwaitExecution(request, metadata=wire.metadata)
    return [answer.page async for answer in call]


async def test_many_effects_are_in_pages_too(wire: Wire, leased: Leased) -> None:
    for number in range(2500):
        await record(wire, request_id=leased.invocation.request_id, key=str(number))
    await leased.ends_well()
    pages = await record_of(wire, leased.arn)
    assert len(pages) == 2
    keys = [effect.key for page in pages for effect in page.effects]
    assert keys == [str(number) for number in range(2500)]


# -- runners -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("RegisterFunction", control.RegisterFunctionRequest(workspace_id="x"), Code.NOT_FOUND),
        ("StartExecution", control.StartExecutionRequest(workspace_id="x"), Code.NOT_FOUND),
        ("StopExecution", control.StopExecutionRequest(execution_arn="x"), Code.NOT_FOUND),
        ("AdvanceTime", control.AdvanceTimeRequest(execution_arn="x"), Code.NOT_FOUND),
        ("AdvanceTime", control.AdvanceTimeRequest(workspace_id="x"), Code.NOT_FOUND),
        ("AwaitCallback", control.AwaitCallbackRequest(execution_arn="x"), Code.NOT_FOUND),
        ("CompleteCallback", control.CompleteCallbackRequest(), Code.INVALID_ARGUMENT),
        (
            "CompleteCallback",
            control.CompleteCallbackRequest(
                callback_id="YSBi", heartbeat=control.CallbackHeartbeat()
            ),
            Code.INVALID_ARGUMENT,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_request_for_what_is_not_there(
    wire: Wire, method: str, request_: Any, code: grpc.StatusCode
) -> None:
    assert (await refused(wire.ask(method, request_))).code is code


async def test_an_isolation_that_nobody_knows_is_refused(wire: Wire) -> None:
    async with wire.runner() as runner:
        refusal = await refused(runner.register(isolation=99))
        assert (refusal.code, refusal.details) == (Code.INVALID_ARGUMENT, "Unknown isolation.")


async def test_the_end_of_a_runners_stream_ends_its_executions(wire: Wire) -> None:
    async with wire.runner() as runner:
        await runner.register()
        arn = await runner.start()
        waiting = asyncio.create_task(runner.result(arn))
        await wire.status()
    with pytest.raises(grpc.aio.AioRpcError) as closed:
        await waiting
    # Whether the call came first or the end, it says what happened.
    assert closed.value.code() is Code.NOT_FOUND
    assert closed.value.details() in (
        "The runner was closed before the execution ended.",
        f"Execution not found: {arn}",
    )


async def test_a_history_of_more_pages_than_operations_is_whole(wire: Wire, leased: Leased) -> None:
    stream = wire.stream("Checkpoint")
    token = leased.invocation.checkpoint_token
    for action in (model.OPERATION_ACTION_START, model.OPERATION_ACTION_SUCCEED):
        for start in range(0, 1500, 250):
            updates = [step(f"step-{n}") for n in range(start, start + 250)]
            for update in updates:
                update.action = action
                if action == model.OPERATION_ACTION_START:
                    update.ClearField("payload")
            request = checkpoint(leased.invocation, *updates)
            request.checkpoint_token = token
            token = (await stream.ask(request)).checkpoint_token
    await leased.ends_well()
    pages = await record_of(wire, leased.arn)
    assert [event.event_id for page in pages for event in page.events] == list(range(1, 3004))


async def test_a_record_of_many_pages_is_whole(wire: Wire, leased: Leased) -> None:
    stream = wire.stream("Checkpoint")
    token = leased.invocation.checkpoint_token
    for start in range(0, 5000, 250):
        request = checkpoint(
            leased.invocation, *(step(f"step-{n}") for n in range(start, start + 250))
        )
        request.checkpoint_token = token
        token = (await stream.ask(request)).checkpoint_token
    await leased.ends_well()
    pages = await record_of(wire, leased.arn)
    assert len(pages) == 3
    ids = [operation.id for page in pages for operation in page.operations]
    assert ids[1:] == [f"step-{n}" for n in range(5000)]
    assert [event.event_id for page in pages for event in page.events] == list(range(1, 5004))
    assert sum(len(page.invocations) for page in pages) == 1
