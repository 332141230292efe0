"""A coordinator, worker hosts and tests on machines of their own, and a day on which much fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from async_durable_execution_runner.security import certificates

from .network import Machine, Network, why_not
from .team import COMMAND, TESTS, Process, Team

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "never"),
]

#: Seconds within which the coordinator notices that a worker host cannot be reached.
NOTICED = 15.0


@dataclass
class Cluster:
    network: Network
    team: Team
    address: str
    coordinator: Process

    @property
    def tokens(self) -> Path:
        """What the coordinator knows worker hosts by."""
        return self.team.folder / "worker-host.token"

    def start_host(self, machine: Machine, *options: object, token: str = "") -> Process:
        """A worker host, with a token file of its own."""
        self.token_file(machine).write_text(token or self.tokens.read_text())
        arguments = ["worker-host", "--connect", self.address, "--slots", "2", "--verbose"]
        arguments += ["--app-dir", str(TESTS), "--ca-file", str(self.team.folder / "ca.pem")]
        arguments += ["--token-file", str(self.token_file(machine))]
        return Process(*arguments, *options, command=machine.command(*COMMAND))

    def host(self, machine: Machine, *options: object, token: str = "") -> Process:
        """A worker host that has joined."""
        process = self.start_host(machine, *options, token=token)
        process.says("connected to")
        return process

    def token_file(self, machine: Machine) -> Path:
        return self.team.folder / f"{machine.namespace}.token"

    def client(self, machine: Machine, count: int, *fifos: Path) -> Process:
        command = machine.command(sys.executable, "-m", "remote.client")
        env = {
            **self.team.by_token("client"),
            "DURABLE_RUNNER_COORDINATOR": self.address,
            "PYTHONPATH": str(TESTS),
        }
        return Process(count, *fifos, env=env, command=command)

    def certify(self, validity: timedelta) -> None:
        """Give the coordinator a certificate of another authority, which everybody trusts too."""
        folder = self.team.folder / f"for {validity}"
        for _ in certificates.write(folder, [self.address.partition(":")[0]], validity):
            pass
        with open(self.team.folder / "ca.pem", "a") as authorities:
            authorities.write((folder / "ca.pem").read_text())
        for name in ("coordinator.pem", "coordinator.key"):
            shutil.copyfile(folder / name, self.team.folder / name)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Network() as network:
        machine = network.machine()
        team = Team(tmp_path / "team", machine.address)
        listen = f"{machine.address}:7000"
        options = ["coordinator", "--listen", listen, "--verbose", *team.server(), *team.tokens()]
        with Process(*options, command=machine.command(*COMMAND)) as process:
            process.says("listens on")
            yield Cluster(network, team, listen, process)


@pytest.fixture
def fifos(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Those of an execution that is late: it has begun, is to go on, and has recorded an effect."""
    begun, go, recorded = (tmp_path / name for name in ("begun", "go", "recorded"))
    for path in (begun, go, recorded):
        os.mkfifo(path)
    return begun, go, recorded


# Five hundred executions wait for a coordinator that waits for fifteen seconds.
@pytest.mark.timeout(300)
def test_hosts_that_are_cut_off_or_frozen_or_killed_lose_nothing(
    cluster: Cluster, fifos: tuple[Path, Path, Path]
) -> None:
    one, two, three, test = (cluster.network.machine() for _ in range(4))
    begun, go, _ = fifos
    label = ("--label", "takes=the late one")
    with (
        cluster.host(one) as cut,
        cluster.host(two) as killed,
        cluster.host(three, *label) as frozen,
        cluster.client(test, 500, *fifos) as client,
        ExitStack() as ends,
    ):
        client.says("running")
        worker = int(begun.read_text())
        began = time.monotonic()
        cluster.network.cut(one)
        stopped = stop_all(frozen.popen.pid)
        # A process that is stopped does not end with its host, if the test fails.
        ends.callback(go_on, stopped)
        killed.popen.kill()
        # Meanwhile hosts get another token.
        old = cluster.tokens.read_text()
        cluster.tokens.write_text(f"{old}new\n")
        # It has the rest to do alone, and for older SDKs each checkpoint takes long.
        with cluster.host(two, *label, "--slots", "8", token="new"):
            cluster.tokens.write_text("new\n")
            for _ in (cut, frozen, killed):
                cluster.coordinator.says("left, and with it", NOTICED + 5)
            assert time.monotonic() - began < NOTICED + 5

            # What a worker does late is not undone, and changes nothing.
            os.kill(worker, signal.SIGCONT)
            go.write_text("go")
            outcome = outcome_of(client)
            assert outcome["succeeded"] == 500
            assert outcome["lost invocations"] > 0
            assert outcome["repeated without a reason"] == 0
            assert outcome["late"] == {"returned": "interrupted", "stale": [False, True]}

            cluster.token_file(three).write_text("new")
            go_on(stopped)
            cluster.network.mend(one)
            for host in (cut, frozen):
                host.says("Lost the coordinator")
            frozen.says("Joined the coordinator")
            assert str(cluster.token_file(one)) in cut.says("refuses what")
            cluster.token_file(one).write_text("new")
            cut.says("Joined the coordinator")
            outcome = outcome_of(cluster.client(test, 20))
    assert outcome["succeeded"] == 20
    assert outcome["lost invocations"] == 0


def test_a_certificate_that_has_expired_ends_no_connection_and_begins_none(
    cluster: Cluster, fifos: tuple[Path, Path, Path]
) -> None:
    one, two, test = (cluster.network.machine() for _ in range(3))
    begun, go, _ = fifos
    with (
        cluster.host(one, "--label", "takes=the late one"),
        cluster.client(test, 0, *fifos) as client,
    ):
        client.says("running")
        assert int(begun.read_text())
        cluster.certify(timedelta(seconds=3))
        refused = ""
        while not refused:
            with cluster.client(test, 0) as late:
                code, said = late.end()
                refused = said if code else ""
        assert "its certificate has expired" in refused
        with cluster.start_host(two) as another:
            another.says("cannot be joined: its certificate has expired")
            go.write_text("go")
            assert outcome_of(client)["late"] == {"returned": "whole", "stale": [False, False]}
            cluster.certify(timedelta(days=1))
            another.says("connected to")
            assert outcome_of(cluster.client(test, 20))["succeeded"] == 20


def stop_all(host: int) -> list[int]:
    """Freeze a worker host and all that it has started; the pids."""
    pids = [host]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return pids


def go_on(pids: list[int]) -> None:
    """Let processes that were stopped go on: whoever reaps the others comes last."""
    for pid in reversed(pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def outcome_of(client: Process) -> dict[str, Any]:
    # It waits for what was lost until the coordinator notices.
    code, said = client.end(within=100)
    assert code == 0, said
    outcome: dict[str, Any] = json.loads(said.splitlines()[-1])
    return outcome
