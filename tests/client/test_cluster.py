"""The cluster that a test process starts for itself: its life, its death, its traces."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from async_durable_execution import durable_execution, step, wait
from processes import Watched, all_gone

from async_durable_execution_runner import (
    CoordinatorUnavailable,
    DurableFunctionTestRunner,
    InvocationStatus,
    RunnerError,
    WorkersUnavailable,
)
from async_durable_execution_runner.client import cluster as clusters
from async_durable_execution_runner.client import control, lent
from async_durable_execution_runner.client.cluster import Cluster, shared_cluster

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("own_cluster")]


def say_begun(pipe: str) -> None:
    with open(pipe, "w") as begun:
        begun.write("begun")


async def touch(marker: str) -> None:
    os.close(os.open(marker, os.O_CREAT))


@durable_execution
async def echo(event: Any) -> Any:
    return event


@durable_execution
async def open_ended(event: dict[str, str]) -> str:
    """Says that it has begun on a named pipe, and waits for a long time."""
    say_begun(event["begun"])
    await wait(timedelta(days=1), name="long")
    await step(partial(touch, event["marker"]), name="work")
    return "done"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    own = Cluster()
    yield own
    own.close()


def watch(runner: DurableFunctionTestRunner) -> list[Watched]:
    """Every process behind a runner."""
    status = runner.status()
    return [
        Watched(each) for each in (status.pid, *(p.pid for p in (*status.hosts, *status.workers)))
    ]


def test_a_cluster_listens_on_a_private_socket(cluster: Cluster) -> None:
    scheme, _, path = cluster.address.partition(":")
    assert scheme == "unix"
    assert len(path) < 100
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert cluster.alive


def test_a_long_temporary_directory_does_not_make_the_socket_s_path_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    cluster = Cluster()
    try:
        assert len(cluster.address) < 110
        assert list(deep.iterdir()) == []
    finally:
        cluster.close()


@pytest.mark.parametrize("character", [",", "%41", "?", "#"])
def test_what_grpc_reads_as_more_than_a_path_is_not_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    odd = tmp_path / f"a{character}b"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    cluster = Cluster()
    try:
        assert character not in cluster.address
        assert list(odd.iterdir()) == []
    finally:
        cluster.close()


def test_a_coordinator_that_no_process_can_be_made_for_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "nobody"))
    with pytest.raises(CoordinatorUnavailable, match=r"could not be started: .*nobody"):
        Cluster()
    assert list(tmp_path.iterdir()) == []


def test_a_closed_cluster_leaves_nothing_behind(cluster: Cluster) -> None:
    folder = Path(cluster.address.partition(":")[2]).parent
    cluster.ensure_slots(1)
    coordinator = Watched(cluster.coordinator.pid)
    cluster.close()
    assert coordinator.gone(0)
    assert not folder.exists()
    assert not cluster.alive


def test_a_coordinator_that_cannot_start_says_why() -> None:
    cluster = Cluster("256.256.256.256:0")
    with pytest.raises(CoordinatorUnavailable, match=r"(?s)did not start.*code 2.*256\.256"):
        _ = cluster.address
    assert not cluster.alive


def test_runners_share_one_cluster() -> None:
    with DurableFunctionTestRunner(handler=echo, workers=1) as first:
        address, pid = first.address, first.status().pid
    with (
        DurableFunctionTestRunner(handler=echo, workers=1) as second,
        DurableFunctionTestRunner(handler=echo, workers=1) as third,
    ):
        assert second.address == third.address == address
        assert second.run(1).result == "1"
        assert third.run(2).result == "2"
        assert third.status().pid == pid


def test_a_cluster_of_ones_own_is_beside_one_that_is_lent(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(question: str, argument: int | None) -> tuple[str, str, dict[str, str]] | None:
        if question == "cluster":
            return cluster.address, cluster.token, cluster.environment
        return cluster.ensure_slots(argument or 0)

    with DurableFunctionTestRunner(handler=echo, workers=1) as own:
        monkeypatch.setattr(clusters, "_lent", None)
        monkeypatch.setattr(lent, "ask", ask)
        with DurableFunctionTestRunner(handler=echo, workers=1) as borrowing:
            assert borrowing.address == cluster.address != own.address
            assert own.run(1).result == "1"
            monkeypatch.setattr(lent, "ask", None)
            with DurableFunctionTestRunner(handler=echo, workers=1) as again:
                assert again.address == own.address
            assert borrowing.run(2).result == "2"


def test_a_cluster_that_died_is_replaced_by_the_next_runner() -> None:
    with DurableFunctionTestRunner(handler=echo, workers=1) as runner:
        coordinator, dead = Watched(runner.status().pid), shared_cluster()
    os.kill(coordinator.pid, signal.SIGKILL)
    assert coordinator.gone(5)
    assert dead.coordinator.wait(5)
    with DurableFunctionTestRunner(handler=echo, workers=1) as runner:
        assert runner.run("alive").result == '"alive"'
        assert runner.status().pid != coordinator.pid


class Pipe:
    """A named pipe on which handlers say that they have begun, as often as they do."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        os.mkfifo(path)
        # For writing too, so that nobody has to wait for the other end.
        self._fd = os.open(path, os.O_RDWR)

    def begun(self) -> None:
        assert select.select([self._fd], [], [], 30)[0], "no handler has begun"
        assert os.read(self._fd, 5) == b"begun"

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "begun")
    yield pipe
    pipe.close()


def test_a_coordinator_that_dies_ends_the_calls_under_way(pipe: Pipe, tmp_path: Path) -> None:
    with DurableFunctionTestRunner(handler=open_ended, workers=1, skip_time=False) as runner:
        pid = runner.status().pid

        def kill() -> None:
            pipe.begun()
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(CoordinatorUnavailable, match="SIGKILL") as error:
            runner.run({"begun": pipe.path, "marker": str(tmp_path / "marker")}, timeout=60)
        killer.join()
        assert "Open a new runner" in str(error.value)
        with pytest.raises(CoordinatorUnavailable, match="SIGKILL"):
            runner.start({})
        with DurableFunctionTestRunner(handler=echo, workers=1) as other:
            assert other.run(1).result == "1"
        with pytest.raises(CoordinatorUnavailable, match="SIGKILL"):
            runner.start({})


def test_an_execution_outlives_its_worker_host(pipe: Pipe, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with DurableFunctionTestRunner(handler=open_ended, workers=1, skip_time=False) as runner:
        handle = runner.start({"begun": pipe.path, "marker": str(marker)})
        pipe.begun()
        (host,) = runner.status().hosts
        os.kill(host.pid, signal.SIGKILL)
        handle.advance(timedelta(days=2), timeout=30)
        result = handle.result(timeout=30)
    assert result.status is InvocationStatus.SUCCEEDED
    assert marker.exists()


def test_a_worker_host_that_keeps_dying_is_given_up(
    pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_HOST_RESTARTS", 0)
    # A cluster of its own: in the shared one the host of another test may yet have to die.
    with DurableFunctionTestRunner(
        handler=open_ended, workers=1, skip_time=False, listen="127.0.0.1:0"
    ) as runner:

        def kill() -> None:
            pipe.begun()
            (host,) = runner.status().hosts
            os.kill(host.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(WorkersUnavailable, match=r"worker host died .* times .*SIGKILL"):
            runner.run({"begun": pipe.path, "marker": str(tmp_path / "marker")}, timeout=60)
        killer.join()


_PROGRAM = """
import os, sys, threading
sys.path.insert(0, {folder!r})
from client import test_cluster
from async_durable_execution_runner import DurableFunctionTestRunner
with DurableFunctionTestRunner(handler=test_cluster.echo, workers=2) as runner:
    runner.run_many(range(8))
    # A process that has just been started has told nobody who it is.
    while not all(each.pid for each in runner.status().workers):
        pass
    status = runner.status()
    if {fork!r} and os.fork() == 0:
        # A child of the test that lives on must not keep the cluster alive.
        sys.stdin.read()
        os._exit(0)
    pids = [status.pid, *(p.pid for p in (*status.hosts, *status.workers))]
    print(*pids, flush=True)
    {end}
"""


@contextlib.contextmanager
def hold_pipes(pid: int) -> Iterator[None]:
    """Keep each pipe of another process from ending, as a handler can."""
    pipes = [each for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_fifo()]
    with contextlib.ExitStack() as held:
        for pipe in pipes:
            held.callback(os.close, os.open(pipe, os.O_RDWR))
        yield


@pytest.mark.parametrize("fork", [False, True])
def test_nothing_is_left_when_the_test_process_is_killed(fork: bool) -> None:
    program = _PROGRAM.format(
        folder=str(Path(__file__).parents[1]), fork=fork, end="sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as test_process:
        assert test_process.stdout is not None
        pids = [int(pid) for pid in test_process.stdout.readline().split()]
        processes = [Watched(pid) for pid in pids]
        assert len(processes) >= 3
        with hold_pipes(test_process.pid):
            test_process.kill()
            assert all_gone(processes, 2.0)


def test_too_few_descriptors_are_named_at_once() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, before[1]))
    try:
        with pytest.raises(RunnerError, match=r"may open 20 files here.* need 64: .*ulimit -n 64"):
            Cluster()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    # A host that is started by hand is a process of its own.
    host = f"{sys.executable} -m async_durable_execution_runner worker-host --connect 127.0.0.1:1"
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 20; exec {host}"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert "may open 20 files here" in done.stderr


_KILLED_WHILE_IT_STARTS = """
import ctypes, os, random, signal, sys, time
from async_durable_execution_runner.client.cluster import Cluster

PR_SET_CHILD_SUBREAPER = 36
# Whose parent is killed becomes a child of this process, which sees its end.
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

def start():
    pid = os.fork()
    if pid == 0:
        try:
            Cluster().address
            signal.pause()
        finally:
            os._exit(0)
    return pid

for _ in range({rounds}):
    begun = time.monotonic()
    killed = [(random.uniform(0, 0.8), start()) for _ in range(8)]
    for delay, pid in sorted(killed):
        time.sleep(max(0, begun + delay - time.monotonic()))
        os.kill(pid, signal.SIGKILL)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        print(os.listdir(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it adopts orphans as Linux does")
def test_no_file_is_left_whenever_the_test_process_is_killed(tmp_path: Path) -> None:
    rounds = int(os.environ.get("KILLED_STARTS", "8")) // 8
    program = _KILLED_WHILE_IT_STARTS.format(rounds=rounds)
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert (ended.stdout, ended.stderr) == ("[]\n" * rounds, "")


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "os._exit(0)"])
def test_nothing_is_left_when_the_test_process_ends(end: str) -> None:
    """Whether by its end, by an exit inside the runner's block, or at once."""
    program = _PROGRAM.format(folder=str(Path(__file__).parents[1]), fork=False, end=end)
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.stderr == ""
    for pid in map(int, ended.stdout.split()):
        try:
            process = Watched(pid)
        except ProcessLookupError:
            continue
        assert process.gone(2.0)
    assert time.monotonic() - began < 20


async def test_a_fork_of_the_test_process_may_collect_garbage(cluster: Cluster) -> None:
    """A fork that frees a channel of asyncio's hangs, or is aborted."""

    class Garbage:
        def __init__(self) -> None:
            self.itself = self
            self.channel = grpc.aio.insecure_channel(cluster.address)

    gc.disable()
    try:
        Garbage()
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(5)
            gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0  # noqa: ASYNC222
    finally:
        gc.enable()


def test_a_fork_of_the_test_process_does_not_own_the_cluster(cluster: Cluster) -> None:
    _ = cluster.address
    shared = shared_cluster()
    child = os.fork()
    if child == 0:
        try:
            assert clusters._own is None
            assert not Cluster._all
            clusters._close_all()
            with pytest.raises(RunnerError, match="forked"):
                DurableFunctionTestRunner(handler=echo).__enter__()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cluster.alive
    assert shared.alive
    with DurableFunctionTestRunner(handler=echo, workers=1) as runner:
        assert runner.run(1).result == "1"


def test_a_frozen_coordinator_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "GRACE", 0.3)
    with DurableFunctionTestRunner(handler=echo, workers=1) as runner:
        assert runner.run(1).result == "1"
        coordinator = runner.status().pid
        os.kill(coordinator, signal.SIGSTOP)
        try:
            with pytest.raises(CoordinatorUnavailable, match=r"not answer .* process is alive"):
                runner.run(1, timeout=0.2)
        finally:
            os.kill(coordinator, signal.SIGCONT)
        assert runner.run(2).result == "2"


def test_a_runner_with_more_workers_than_there_are_slots_gets_another_host() -> None:
    with DurableFunctionTestRunner(handler=echo, workers=200) as runner:
        assert runner.run(1).result == "1"
        assert shared_cluster().slots >= 200


_INTERRUPTED = """
import random, signal, sys
sys.path.insert(0, {folder!r})
from async_durable_execution_runner import DurableFunctionTestRunner
from client.test_cluster import echo

def strike(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, strike)
chance = random.Random(1)
with DurableFunctionTestRunner(echo, workers=1) as runner:
    runner.run(1)
    for _ in range(120):
        try:
            # An interrupt that strikes within a destructor is lost; another follows.
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.008), 0.5)
            try:
                while True:
                    runner.run(1)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            pass
    assert runner.run(2, timeout=10).get_deserialized_result() == 2
"""


def test_interrupts_at_any_moment_leave_a_runner_that_works() -> None:
    program = _INTERRUPTED.format(folder=str(Path(__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
