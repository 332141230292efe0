"""Processes at either end of a call are killed, and the other end learns of it at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from coordinator.wire import CoordinatorProcess

from async_durable_execution_runner import errors
from async_durable_execution_runner.client.control import ControlClient, Start
from async_durable_execution_runner.client.transport import (
    BlockingTransport,
    LoopTransport,
    Transport,
    WorkspaceCall,
    channel_at,
    raised,
)
from async_durable_execution_runner.rpc.v1 import control_pb2 as pb
from async_durable_execution_runner.rpc.v1 import worker_pb2
from async_durable_execution_runner.worker.connection import Connection
from async_durable_execution_runner.worker.sdk.async_models import CheckpointError
from async_durable_execution_runner.worker.sdk.service_client import GrpcServiceClient
from async_durable_execution_runner.worker.session import Session

from .conftest import ADDRESSES
from .served import LIMIT, TOKEN, Served, call_each, client, open_workspace, register, sockets

pytestmark = [pytest.mark.processes, pytest.mark.timeout(30)]

# -- a caller's process --------------------------------------------------------------------

_RUNNER = """
import sys, threading
sys.path.insert(0, {folder!r})
from client.served import TOKEN, client, open_workspace, register
from async_durable_execution_runner.client.control import Start
from async_durable_execution_runner.client.drive import drive
from async_durable_execution_runner.client.transport import BlockingTransport, channel_at
channel = channel_at({address!r})
workspace = open_workspace(channel)
control = client(BlockingTransport(channel, TOKEN), workspace.id)
drive(register(control))
output = workspace.follow_output()
arn = drive(control.start(Start("order", "{{}}")))
for _ in range(3):
    threading.Thread(target=lambda: drive(control.wait(arn, "ended", 60)), daemon=True).start()
drive(control.status())
print("ready", flush=True)
sys.stdin.read()
"""

_WORKER = """
import sys
from async_durable_execution_runner.worker.connection import Connection
from async_durable_execution_runner.worker.session import Session
def serve(invocation):
    print("ready", flush=True)
    sys.stdin.read()
Session(Connection({address!r}, {token!r}, "doomed"), "doomed", {workspace!r}).run(serve)
"""


class Doomed:
    """A process that says when it is ready, and then only waits to be killed."""

    def __init__(self, program: str, **values: str) -> None:
        folder = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-c", program.format(folder=folder, token=TOKEN, **values)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def is_ready(self) -> bool:
        assert self._process.stdout is not None
        return self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=LIMIT)


async def test_nothing_is_left_of_a_runner_that_is_killed(served: Served) -> None:
    """Its workspace, its executions and its connection go, which the fixture sees."""
    doomed = Doomed(_RUNNER, address=served.address)
    assert doomed.is_ready()
    assert served.status().executions == 1
    doomed.kill()
    served.until(served.is_idle)


async def test_a_worker_that_is_killed_gives_its_lease_back(
    served: Served, transport: Transport
) -> None:
    channel = channel_at(served.address)
    workspace = open_workspace(channel)
    control = client(transport, workspace.id)
    await register(control)
    doomed = Doomed(_WORKER, address=served.address, workspace=workspace.id)
    arn = await control.start(Start("order", "{}"))
    assert doomed.is_ready()
    doomed.kill()
    record = await control.wait(arn, "ended", LIMIT)
    assert record.error is not None
    assert record.error.type == "Runtime.ExitError"
    assert str(record.error.message).endswith("the inline worker went away")
    workspace.close()
    channel.close()


# -- the coordinator -----------------------------------------------------------------------


class Mortal:
    """A coordinator to be killed, with an execution of a workspace that never ends."""

    def __init__(self, process: CoordinatorProcess) -> None:
        self.address = process.address
        self._process = process
        self.channel = channel_at(self.address)
        self.workspace: WorkspaceCall = open_workspace(self.channel)

    async def begin(self, control: ControlClient) -> pb.AwaitExecutionRequest:
        """A request for the end of a new execution."""
        await register(control)
        return pb.AwaitExecutionRequest(
            execution_arn=await control.start(Start("order", "{}")),
            until=pb.AWAIT_UNTIL_ENDED,
            timeout_ms=60_000,
        )

    def kill(self) -> None:
        if self._process.process.poll() is None:
            self._process.process.kill()
            self._process.end()


@pytest.fixture(params=ADDRESSES)
def mortal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mortal]:
    mortal = Mortal(CoordinatorProcess(tmp_path, ADDRESSES[request.param]))
    yield mortal
    mortal.kill()
    mortal.workspace.close()
    mortal.channel.close()


@pytest.mark.parametrize("kind", ["blocking", "loop"])
async def test_calls_under_way_end_when_the_coordinator_is_killed(
    mortal: Mortal, kind: str
) -> None:
    transport: Any = BlockingTransport(mortal.channel, TOKEN)
    if kind == "loop":
        transport = LoopTransport(mortal.address, TOKEN)
    control = client(transport, mortal.workspace.id)
    request = await mortal.begin(control)

    def requests() -> Iterator[pb.AwaitExecutionRequest]:
        for number in range(100):
            if number == 99:
                mortal.kill()
            yield request

    outcomes: Any = await call_each(transport, requests())
    assert {each.code() for each in outcomes} == {grpc.StatusCode.UNAVAILABLE}
    assert {raised(each) for each in outcomes} == {None}
    for _ in range(3):
        with pytest.raises(errors.CoordinatorUnavailable, match=r"was lost during GetStatus: ."):
            await control.status()
    await transport.close()


async def test_a_workspace_s_own_calls_end_when_the_coordinator_is_killed(mortal: Mortal) -> None:
    written = mortal.workspace.follow_output()
    mortal.kill()
    assert list(written) == []
    mortal.workspace.close()
    with pytest.raises(errors.CoordinatorUnavailable, match=r"did not let a runner in: ."):
        open_workspace(mortal.channel)


@pytest.mark.parametrize("busy", [False, True])
async def test_a_session_ends_when_the_coordinator_is_killed(mortal: Mortal, busy: bool) -> None:
    control = client(BlockingTransport(mortal.channel, TOKEN), mortal.workspace.id)
    at_work, killed, returned = threading.Event(), threading.Event(), threading.Event()
    session = Session(Connection(mortal.address, TOKEN, "w"), "w", mortal.workspace.id)

    def serve(invocation: worker_pb2.Invocation) -> worker_pb2.InvocationResult:
        at_work.set()
        assert killed.wait(LIMIT)
        return worker_pb2.InvocationResult(request_id=invocation.request_id, output="{}")

    def run() -> None:
        session.run(serve)
        returned.set()

    thread = threading.Thread(target=run)
    thread.start()
    if busy:
        await mortal.begin(control)
        assert at_work.wait(LIMIT)
    else:
        while not (await control.status()).workers:
            pass
    mortal.kill()
    killed.set()
    thread.join(LIMIT)
    assert returned.is_set()
    session.stop()


async def test_a_checkpoint_fails_when_the_coordinator_is_killed(mortal: Mortal) -> None:
    checkpoints = GrpcServiceClient(Connection(mortal.address, TOKEN, "w"))
    with pytest.raises(CheckpointError, match="Invalid checkpoint token"):
        await checkpoints.checkpoint("arn", "token", [], None)
    mortal.kill()
    for _ in range(3):
        with pytest.raises(CheckpointError, match="the runner's coordinator is gone") as lost:
            await checkpoints.checkpoint("arn", "token", [], None)
        assert lost.value.is_retryable()


def test_nothing_is_left_at_our_end_of_a_coordinator_that_was_killed(
    served: Served, tmp_path: Path
) -> None:
    """Sockets and threads of calls that ended with it; the fixture compares them."""
    before = sockets()
    mortal = Mortal(CoordinatorProcess(tmp_path, ADDRESSES["unix"]))
    output = mortal.workspace.follow_output()
    assert sockets() > before
    mortal.kill()
    assert list(output) == []
    mortal.workspace.close()
    mortal.channel.close()
