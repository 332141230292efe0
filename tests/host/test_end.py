"""Ends: of the host, the forkserver, the coordinator, the test process. Nothing is left."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import socket
from pathlib import Path

import pytest
from worker import handlers
from worker.coordinator import Coordinator, Worker, output

from async_durable_execution_runner.host.forkserver import Forkserver
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb

from .conftest import end_host, start_host
from .processes import Watch, children, send_blocking

pytestmark = pytest.mark.processes

Process = asyncio.subprocess.Process


async def test_a_worker_that_cannot_start_is_reported(
    coordinator: Coordinator, host: Process
) -> None:
    resource.prlimit(host.pid, resource.RLIMIT_NOFILE, (0, 0))
    for number in range(5):
        coordinator.order(start=pb.StartWorker(worker_id=f"x-{number}"))
    exited = await coordinator.exited("x-4")
    assert exited.cause == pb.EXIT_CAUSE_NOT_STARTED
    assert "Too many open files" in exited.detail


async def busy_processes(
    coordinator: Coordinator, host: Process, directory: Path
) -> tuple[int, Worker, Watch]:
    """One worker that blocks, with a child and a daemon of its own. The forkserver, the worker, and
    a watch on these, the handler's two and the host."""
    worker = await coordinator.start_worker()
    started = await send_blocking(coordinator, worker, handlers.block, directory)
    (forkserver,) = children(host.pid)
    return forkserver, worker, Watch(host.pid, forkserver, worker.hello.pid, *started)


async def test_the_forkserver_has_one_thread_only(coordinator: Coordinator, host: Process) -> None:
    """Forking any other process is a gamble."""
    await coordinator.start_worker(sdks=["official"])
    (forkserver,) = children(host.pid)
    assert os.listdir(f"/proc/{forkserver}/task") == [str(forkserver)]


def test_a_fork_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    host_end, own_end = socket.socketpair()
    with host_end, own_end, open(os.devnull) as output:
        forkserver = Forkserver(own_end)
        for descriptors in ([output.fileno()] * 2, [output.fileno()], []):
            order = b'{"start": "w-1", "sdks": [], "coverage": false}\n'
            socket.send_fds(host_end, [order], descriptors)
            assert forkserver.receive()
            report = json.loads(host_end.recv(4096))
            reason = "fork failed" if len(descriptors) == 2 else "no descriptor is left"
            assert report["failed"] == "w-1"
            assert report["why"].startswith(reason)


async def test_the_end_of_the_lifeline_ends_everything(
    coordinator: Coordinator, host: Process, tmp_path: Path
) -> None:
    _, _, watch = await busy_processes(coordinator, host, tmp_path)
    assert host.stdin is not None
    host.stdin.close()
    await watch.gone()
    assert await host.wait() == 0


async def test_a_killed_host_leaves_nothing(
    coordinator: Coordinator, host: Process, tmp_path: Path
) -> None:
    _, _, watch = await busy_processes(coordinator, host, tmp_path)
    host.kill()
    await watch.gone()
    assert await host.wait() == -signal.SIGKILL


async def test_host_and_forkserver_killed_at_once_leave_no_worker(
    coordinator: Coordinator, host: Process
) -> None:
    worker = await coordinator.start_worker()
    (forkserver,) = children(host.pid)
    watch = Watch(host.pid, forkserver, worker.hello.pid)
    os.kill(forkserver, signal.SIGSTOP)
    host.kill()
    os.kill(forkserver, signal.SIGKILL)
    await watch.gone()
    assert await host.wait() == -signal.SIGKILL


async def test_a_vanished_coordinator_ends_everything(
    coordinator: Coordinator, host: Process, tmp_path: Path
) -> None:
    _, _, watch = await busy_processes(coordinator, host, tmp_path)
    await coordinator.vanish()
    await watch.gone()
    said = await last_words(host)
    assert host.returncode == 1
    assert said.startswith(f"The coordinator at {coordinator.connection.address} is gone: ")
    assert said.count("\n") == 1


async def test_a_host_without_forkserver_reports_and_ends(
    coordinator: Coordinator, host: Process, tmp_path: Path
) -> None:
    forkserver, worker, watch = await busy_processes(coordinator, host, tmp_path)
    os.kill(forkserver, signal.SIGKILL)
    exited = await coordinator.exited(worker)
    assert exited.cause == pb.EXIT_CAUSE_UNKNOWN
    await watch.gone()
    assert await host.wait() == 1


async def test_interrupts_do_not_reach_a_host_with_a_lifeline(
    coordinator: Coordinator, host: Process
) -> None:
    (forkserver,) = children(host.pid)
    host.send_signal(signal.SIGINT)
    os.kill(forkserver, signal.SIGINT)
    worker = await coordinator.start_worker()
    assert output(await coordinator.invoke(worker, handlers.async_echo, payload="1")) == 1


async def test_a_host_started_by_hand_ends_on_interrupt(coordinator: Coordinator) -> None:
    host = await start_host(coordinator, lifeline=False)
    await coordinator.host()
    worker = await coordinator.start_worker()
    watch = Watch(host.pid, worker.hello.pid)
    host.send_signal(signal.SIGINT)
    await watch.gone()
    assert await host.wait() == 0


async def last_words(host: Process) -> str:
    assert host.stderr is not None
    async with asyncio.timeout(10):
        said = await host.stderr.read()
        await host.wait()
    return said.decode()


async def test_a_wrong_token_is_one_sentence(coordinator: Coordinator) -> None:
    host = await start_host(coordinator, token="guess")
    stderr = await last_words(host)
    assert host.returncode == 2
    address = coordinator.connection.address
    expected = f"The coordinator at {address} refused this host: The token is wrong.\n"
    assert expected == stderr


async def test_another_version_is_one_sentence(coordinator: Coordinator) -> None:
    coordinator.protocol_version = 0
    host = await start_host(coordinator)
    stderr = await last_words(host)
    assert host.returncode == 2
    assert stderr.endswith(" refused this host: It speaks another version.\n")


async def test_a_host_may_be_started_before_its_coordinator(socket_directory: Path) -> None:
    coordinator = Coordinator(f"unix:{socket_directory}/s")
    host = await start_host(coordinator)
    async with coordinator:
        assert (await coordinator.host()).pid == host.pid
        await end_host(host)


async def test_no_token_is_one_sentence(coordinator: Coordinator) -> None:
    host = await start_host(coordinator, token="", lifeline=False)
    stderr = await last_words(host)
    assert host.returncode == 2
    assert stderr.startswith("DURABLE_RUNNER_TOKEN is not set")


async def test_a_worker_without_a_credential_is_one_sentence(
    coordinator: Coordinator, host: Process
) -> None:
    coordinator.order(start=pb.StartWorker(worker_id="w-0", credential=""))
    exited = await coordinator.exited("w-0")
    assert exited.exit_code == 1
    assert [line.text for line in exited.output] == [
        "No credential came for worker w-0: another process took it, or the host ended."
    ]
