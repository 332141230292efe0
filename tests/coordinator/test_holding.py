"""No message of a worker holds up the others, whatever is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest_asyncio
from gateway.test_holding import ATTEMPTS, HELD, slowness, watched

from async_durable_execution_runner.coordinator.gate import Gate
from async_durable_execution_runner.coordinator.worker_service import WorkerService
from async_durable_execution_runner.rpc import OPTIONS, WORKER_ID
from async_durable_execution_runner.rpc.v1 import model_pb2 as model
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.rpc.v1.worker_pb2_grpc import (
    add_WorkerServiceServicer_to_server,
)
from async_durable_execution_runner.security.credentials import Credentials, fixed

from .world import Script, World

MIB = 1024 * 1024
#: The tags of fields that hold texts or messages, by their numbers, and an empty one.
EMPTY = {number: bytes([number << 3 | 2, 0]) for number in range(1, 8)}
#: A valid update.
STEP = bytes([3 << 3 | 2, 7]) + b"\x0a\x01a\x10\x03\x18\x02"
LARGE = "The checkpoint is too large: "
BYTES = "It has %d bytes, and 8388608 is the most."
PARTS = "It has more than 20000 parts."


def stack(lines: int) -> model.OperationUpdate:
    error = model.ErrorObject(message="no", stack_trace=[""] * lines)
    return model.OperationUpdate(
        id="a",
        type=model.OPERATION_TYPE_STEP,
        action=model.OPERATION_ACTION_FAIL,
        error=error,
    )


def checkpoint(script: Script, *updates: model.OperationUpdate, **others: Any) -> bytes:
    return pb.CheckpointRequest(
        **({"execution_arn": script.arn, "checkpoint_token": script.token} | others),
        updates=updates,
    ).SerializeToString()


#: Requests to `Checkpoint`, and what is said to them.
CHECKPOINTS: dict[str, tuple[Callable[[Script], bytes], str]] = {
    "updates without an execution": (
        lambda script: checkpoint(script, execution_arn="arn:nope") + STEP * 500_000,
        LARGE + PARTS,
    ),
    "a few too many updates": (
        lambda script: checkpoint(script) + STEP * 501,
        "A checkpoint may have at most 500 updates, and this one has 501.",
    ),
    "some too many updates": (
        lambda script: checkpoint(script) + STEP * 4_900,
        "A checkpoint may have at most 500 updates, and this one has 4900.",
    ),
    "sources": (lambda script: checkpoint(script) + EMPTY[7] * 500_000, LARGE + PARTS),
    "lines of a stack": (lambda script: checkpoint(script, stack(200_000)), LARGE + PARTS),
    "some lines of a stack": (lambda script: checkpoint(script, stack(19_000)), ""),
    "a long token": (
        lambda script: checkpoint(script, checkpoint_token="€" * (2 * MIB)),
        "Invalid checkpoint token",
    ),
    "a longer token": (
        lambda _: pb.CheckpointRequest(checkpoint_token="x" * 9 * MIB).SerializeToString(),
        LARGE + BYTES % (9 * MIB + 5),
    ),
    "a long ARN": (
        lambda _: pb.CheckpointRequest(execution_arn="€" * (2 * MIB)).SerializeToString(),
        "Invalid checkpoint token",
    ),
}


class Served:
    """The service of workers for one invocation, on the loop of the test."""

    def __init__(self, address: str, script: Script, metadata: Any) -> None:
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        self.script, self._metadata = script, metadata

    def checkpoint(self, request: bytes) -> str:
        call = self._method("stream_stream", "Checkpoint")
        reply = next(call(iter([request]), metadata=self._metadata))
        return pb.CheckpointResponse.FromString(reply).error.message

    def effect(self, request: bytes) -> str:
        try:
            self._method("unary_unary", "RecordEffect")(request, metadata=self._metadata)
        except grpc.RpcError as error:
            return error.details()
        return ""

    def _method(self, kind: str, name: str) -> Any:
        return getattr(self._channel, kind)(
            f"/async_durable_execution_runner.rpc.v1.WorkerService/{name}",
            request_serializer=bytes,
            response_deserializer=bytes,
        )


async def longest(ask: Callable[[bytes], str], request: bytes) -> tuple[float, str]:
    """How long the request held the loop at least, as far as that is too long, and the answer."""
    held = 0.0
    for _ in range(ATTEMPTS):
        allowed = HELD * slowness()
        with watched() as found:
            answer = await asyncio.to_thread(ask, request)
        held = found.seconds
        if held < allowed:
            return 0.0, answer
    return held, answer


@pytest_asyncio.fixture
async def served(world: World, tmp_path: Path) -> AsyncIterator[Served]:
    async def waits(script: Script) -> str:
        await asyncio.get_running_loop().create_future()
        return ""

    workspace = world.workspace()
    world.function(workspace, waits)
    world.host()
    script = await world.invoked(world.start(workspace))
    credentials = Credentials(fixed("a-token"), fixed("a-token"))
    server = grpc.aio.server(interceptors=[Gate(credentials)], options=OPTIONS)
    add_WorkerServiceServicer_to_server(
        WorkerService(world.executor, "coordinator", credentials), server
    )
    address = f"unix:{tmp_path / 'served.sock'}"
    server.add_insecure_port(address)
    await server.start()
    worker_id = world.executor.leases.of(script.request_id).worker.id
    metadata = (
        ("authorization", f"Bearer {credentials.of(worker_id)}"),
        (WORKER_ID, worker_id),
    )
    yield Served(address, script, metadata)
    await server.stop(None)
    world.executor.close_workspace(workspace)


#: The data of effects, and what is said to them.
EFFECTS = {
    "lists": (
        f"[{'[],' * (50 * 1024)}[]]",
        "An effect's data must be a JSON object, its key JSON.",
    ),
    "numbers": (f'{{"a":[{"0," * 120_000}0]}}', ""),
    "millions of numbers": (
        f"[{'0,' * 1_000_000}0]",
        "The effect is too large: It has 2000021 bytes, and 262144 is the most.",
    ),
}


async def test_no_message_holds_the_loop(served: Served) -> None:
    script, found = served.script, {}
    for what, (make, _) in CHECKPOINTS.items():
        found[what] = await longest(served.checkpoint, make(script))
    for what, (data, _) in EFFECTS.items():
        effect = pb.RecordEffectRequest(request_id=script.request_id, name="charge", data=data)
        found[what] = await longest(served.effect, effect.SerializeToString())
    said = {what: (0.0, said) for what, (_, said) in {**CHECKPOINTS, **EFFECTS}.items()}
    assert found == said
