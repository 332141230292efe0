"""A coordinator, worker hosts and a test on machines of their own, and a network that fails."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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

    def host(self, machine: Machine) -> Process:
        """A worker host that has joined."""
        arguments = ["worker-host", "--connect", self.address, "--slots", "2", "--verbose"]
        arguments += ["--app-dir", str(TESTS)]
        env = self.team.by_token("worker-host")
        process = Process(*arguments, env=env, command=machine.command(*COMMAND))
        process.says("connected to")
        return process

    def client(self, machine: Machine, count: int) -> Process:
        command = machine.command(sys.executable, "-m", "remote.client")
        env = {
            **self.team.by_token("client"),
            "DURABLE_RUNNER_COORDINATOR": self.address,
            "PYTHONPATH": str(TESTS),
        }
        return Process(count, env=env, command=command)


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


# Five hundred executions wait for a coordinator that waits for fifteen seconds.
@pytest.mark.timeout(300)
def test_hosts_that_are_cut_off_or_killed_lose_nothing(cluster: Cluster) -> None:
    here, there, test = (cluster.network.machine() for _ in range(3))
    with (
        cluster.host(here) as cut,
        cluster.host(there) as killed,
        cluster.client(test, 500) as client,
    ):
        client.says("running")
        began = time.monotonic()
        cluster.network.cut(here)
        killed.popen.kill()
        with cluster.host(there):
            for _ in (killed, cut):
                cluster.coordinator.says("left, and with it")
            noticed = time.monotonic() - began
            cut.says("Lost the coordinator")
            outcome = outcome_of(client)
            assert outcome["succeeded"] == 500
            assert outcome["lost invocations"] > 0
            assert outcome["repeated without a reason"] == 0
            assert noticed < NOTICED + 5
            cluster.network.mend(here)
            cut.says("Joined the coordinator")
            outcome = outcome_of(cluster.client(test, 20))
    assert outcome["succeeded"] == 20
    assert outcome["hosts"] == 2


def outcome_of(client: Process) -> dict[str, int]:
    # It waits for what was lost until the coordinator notices.
    code, said = client.end(within=100)
    assert code == 0, said
    outcome: dict[str, int] = json.loads(said.splitlines()[-1])
    return outcome
