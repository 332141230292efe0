"""The coordinator's process: how it starts, how it cannot, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from async_durable_execution_runner.rpc.v1 import control_pb2 as control
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb

from .wire import (
    LIMIT,
    CoordinatorProcess,
    Refused,
    Wire,
    checkpoint,
    start_coordinator,
    step,
    worker_hello,
    works,
)

pytestmark = pytest.mark.processes


async def test_it_says_where_it_listens_and_then_nothing(tmp_path: Path) -> None:
    process = start_coordinator("127.0.0.1:0")
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    host, _, port = line.removeprefix("ready ").strip().rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0
    async with Wire(f"{host}:{port}") as wire:
        await works(wire)
    out, err = process.communicate(timeout=LIMIT)
    assert (out, err, process.returncode) == (b"", b"", 0)


async def test_the_end_of_its_standard_input_ends_it_whoever_is_connected(
    tmp_path: Path,
) -> None:
    coordinator = CoordinatorProcess(tmp_path)
    async with Wire(coordinator.address) as wire, wire.runner() as runner:
        await runner.register()
        host = await wire.host()
        assert coordinator.end() == (0, "")
        refusal = await host.refusal()
        assert refusal.code.name in ("UNAVAILABLE", "CANCELLED", "UNKNOWN")


def test_input_that_is_no_end_does_not_end_it(tmp_path: Path) -> None:
    coordinator = CoordinatorProcess(tmp_path)
    assert coordinator.process.stdin is not None
    coordinator.process.stdin.write(b"hello\n")
    coordinator.process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        coordinator.process.wait(0.2)
    assert coordinator.end() == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    coordinator = CoordinatorProcess(tmp_path)
    coordinator.process.send_signal(number)
    coordinator.process.wait(LIMIT)
    assert coordinator.end() == (0, "")


def refusal_of(listen: str, **how: object) -> str:
    """The one sentence of a coordinator that cannot start."""
    process = start_coordinator(listen, **how)  # type: ignore[arg-type]
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (2, b"")
    lines = err.decode().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_an_address_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        sentence = refusal_of(address)
    assert sentence.startswith(f"Cannot listen on {address}: the address is in use, or may not be")


@pytest.mark.parametrize(
    "listen",
    ["unix:/proc/nowhere/coordinator.sock", "unix:{tmp}/" + "x" * 200, "unix:{tmp}/no/such/dir/s"],
    ids=["unwritable", "too long", "no directory"],
)
def test_a_path_that_cannot_be_listened_on(tmp_path: Path, listen: str) -> None:
    listen = listen.format(tmp=tmp_path)
    assert refusal_of(listen).startswith(f"Cannot listen on {listen}: ")


def test_no_token_is_no_coordinator(tmp_path: Path) -> None:
    sentence = refusal_of(f"unix:{tmp_path}/s", token=None)
    assert sentence == "No token came on standard input."


def test_a_log_that_there_is_not_is_no_coordinator(tmp_path: Path) -> None:
    sentence = refusal_of(f"unix:{tmp_path}/s", log="loud")
    assert sentence == "DURABLE_RUNNER_LOG must be debug or info, or not set; it is 'loud'."


async def test_it_says_whom_it_refuses_and_why(tmp_path: Path) -> None:
    coordinator = CoordinatorProcess(tmp_path, log="info")
    async with Wire(coordinator.address, "wrong") as stranger, Wire(coordinator.address) as wire:
        with pytest.raises(Refused):
            await stranger.status()
        await stranger.stream("Session").refusal()
        with pytest.raises(Refused):
            await wire.ask("StopExecution", control.StopExecutionRequest(execution_arn="no\nARN"))
        hello = worker_hello("stranger")
        await wire.stream("Session").refusal(pb.SessionRequest(hello=hello))
        async with wire.runner() as runner:
            await runner.register()
            session = await wire.session("honest", runner.id)
            arn = await runner.start()
            invocation = (await session.next()).invocation
            checkpoints = wire.stream("Checkpoint")
            # The second time its token is stale.
            for _ in range(2):
                answer = await checkpoints.ask(checkpoint(invocation, step("one", "s3cret")))
            assert answer.error.message == "Invalid checkpoint token"
    code, said = coordinator.end()
    refused = [line.partition("Z ")[2] for line in said.splitlines() if "refused" in line]
    service = "/async_durable_execution_runner.rpc.v1."
    token = "refused, UNAUTHENTICATED: it came with a wrong token"
    assert (code, refused) == (
        0,
        [
            f"{service}ControlService/GetStatus {token}",
            f"{service}WorkerService/Session {token}",
            "StopExecution refused, ResourceNotFoundException: Execution not found: no\\nARN",
            "a worker's or host's call refused, PERMISSION_DENIED: No worker named 'stranger' is "
            "expected; workers are started by their worker host.",
            f"{arn.rpartition('/')[2][:8]} !! checkpoint refused: Invalid checkpoint token: it has "
            "been used, or was never given out.",
        ],
    )
    assert "s3cret" not in said
