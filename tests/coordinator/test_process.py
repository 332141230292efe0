"""The coordinator's process: how it starts, how it cannot, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from .wire import LIMIT, CoordinatorProcess, Wire, start_coordinator, works

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
    assert sentence == "DURABLE_RUNNER_TOKEN is not set."
