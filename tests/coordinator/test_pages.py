"""A record is sent in pages that hold up nobody, however large the record is."""

from __future__ import annotations

from typing import Any

from async_durable_execution_runner.client.pages import record_of
from async_durable_execution_runner.coordinator.control_service import ControlService
from async_durable_execution_runner.core.model import OutputLine, OutputStream
from async_durable_execution_runner.rpc.v1 import control_pb2 as pb

from .world import PENDING, Script, World, step, succeeded, wait

MIB = 1024 * 1024
#: One text for all, so that the test itself needs little.
TEXT = "x" * 256 * 1024
STEPS = [f"step-{number}" for number in range(9)]


class Context:
    """What a call writes to, which keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def write(self, message: Any) -> None:
        self.messages.append(message)


def large(script: Script) -> str:
    """Three invocations of much output and three steps each."""
    new = [each for each in STEPS if script.status(each) is None][:3]
    script.lines = [OutputLine(OutputStream.STDOUT, TEXT)] * 2
    if not new:
        return succeeded()
    script.checkpoint(*(step(each, TEXT) for each in new), wait(f"after-{new[-1]}", 60))
    return PENDING


async def test_no_message_has_more_than_a_few_items_beyond_its_size(world: World) -> None:
    workspace = world.workspace()
    world.function(workspace, large)
    world.host()
    service, context = ControlService(world.executor, "id", lambda: "id"), Context()
    start = pb.StartExecutionRequest(
        workspace_id=workspace.id, function_name="order", payload="{}", skip_time=True
    )
    request = pb.RunExecutionsRequest(starts=[start], at_once=1, timeout_ms=10_000)
    await service.RunExecutions(request, context)
    pages = [page for message in context.messages for page in message.pages]
    assert [page.more for page in pages] == [True] * (len(pages) - 1) + [False]
    record = record_of([page.page for page in pages])
    assert [each.id for each in record.operations if each.result == TEXT] == STEPS
    assert [len(each.output) for each in record.invocations] == [2] * 4
    assert len(record.events) == 1 + 9 + 2 * 3 + 4 + 1
    # A page may have two texts of each of three kinds.
    assert max(message.ByteSize() for message in context.messages) < 4 * MIB
    world.executor.close_workspace(workspace)
