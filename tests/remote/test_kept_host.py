"""Worker hosts that are kept running as children of a process, as on each node of a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import Watched, all_gone, children

from async_durable_execution_runner import DurableFunctionTestRunner
from async_durable_execution_runner.client.kept_host import KeptHost

from .handlers import order, until_told
from .team import LIMIT, TESTS, Process, Team, Words

pytestmark = pytest.mark.processes


def arguments(address: str) -> list[str]:
    return ["--connect", address, "--slots", "2", "--app-dir", str(TESTS)]


@contextmanager
def kept(address: str, variables: Mapping[str, str]) -> Iterator[KeptHost]:
    host = KeptHost(arguments(address), LIMIT, {**os.environ, **variables})
    yield host
    host.drain()


def test_a_host_that_dies_is_followed_by_another(
    team: Team, address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with (
            kept(address, team.by_token("worker-host")) as host,
            DurableFunctionTestRunner(
                order, coordinator=address, invocation_retries=None
            ) as runner,
        ):
            assert host.joined() == ""
            (first,) = runner.status().hosts
            os.kill(first.pid, signal.SIGKILL)
            assert runner.run({"id": 1}, timeout=LIMIT).get_deserialized_result()["id"] == 1
            (second,) = runner.status().hosts
            assert second.pid != first.pid
            # Ray blocks Ctrl-C in its processes, which is nothing for handlers.
            status = Path(f"/proc/{second.pid}/status").read_text()
            assert "SigBlk:\t0000000000000000" in status
            processes = [Watched(second.pid), *children(second.pid)]
        assert "was ended by SIGKILL" in capfd.readouterr().err
        assert all_gone(processes, LIMIT)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_host_is_drained(team: Team, address: str, standing: Process, tmp_path: Path) -> None:
    words = Words(tmp_path)
    with (
        kept(address, team.by_token("worker-host")) as host,
        DurableFunctionTestRunner(until_told, coordinator=address) as runner,
    ):
        handle = runner.start({**words.event, "id": 1})
        assert words.hear(1) == [1]
        drained = threading.Thread(target=host.drain)
        drained.start()
        standing.says(": drains, with 1 workers")
        words.say(1)
        drained.join(LIMIT)
        result = handle.result(timeout=LIMIT)
        assert result.get_deserialized_result() == 1
        assert [each.error for each in result.invocations] == [None]


def test_a_host_ends_with_the_process_that_keeps_it(team: Team, address: str) -> None:
    program = (
        "import os, sys; from async_durable_execution_runner.client.kept_host import KeptHost; "
        f"host = KeptHost({arguments(address)}, 900, os.environ); "
        "print(host.joined(), flush=True); sys.stdin.read()"
    )
    env = team.by_token("worker-host")
    keeper = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "\n"
        (host,) = children(keeper.pid)
        processes = [host, *children(host.pid)]
        keeper.kill()
        assert all_gone(processes, LIMIT)


def test_a_host_that_is_refused_says_why(team: Team, address: str) -> None:
    with kept(address, team.by_token("client")) as host:
        said = host.joined()
    assert f"says: The coordinator at {address} refused this host: The token is missing" in said
    with kept(address, {"DURABLE_RUNNER_TOKEN_FILE": "/nowhere"}) as host:
        assert host.joined().endswith(
            "The token file /nowhere cannot be read: No such file or directory."
        )
