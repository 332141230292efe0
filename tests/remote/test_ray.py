"""Worker hosts on a Ray cluster of several nodes on this machine, with token authentication."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from processes import Watched, all_gone, children

from async_durable_execution_runner import DurableFunctionTestRunner, RayWorkerHosts
from async_durable_execution_runner.errors import (
    WorkersUnavailable,
)

from .handlers import order, until_told
from .team import LIMIT, TESTS, Process, Team, Words

pytestmark = [
    pytest.mark.processes,
    pytest.mark.ray,
    # Ray's own processes take a while to start.
    pytest.mark.timeout(240),
]

#: Seconds after which Ray has long done what it is to do by itself.
PATIENCE = 100.0
RAYS_TOKEN = "what-whoever-may-use-the-ray-cluster-has"


class Cluster:
    """A Ray cluster of three nodes, each with places for four worker hosts."""

    def __init__(self, folder: Path) -> None:
        import ray
        from ray.cluster_utils import Cluster as RayCluster

        self.ray = ray
        # Each node has handlers where Ray puts its working_dir.
        app = folder / "app" / "remote"
        app.mkdir(parents=True)
        for name in ("__init__.py", "handlers.py"):
            shutil.copy(TESTS / "remote" / name, app)
        self._cluster = RayCluster()
        self.nodes: dict[str, Any] = {}
        # The first node is the head.
        self.add("a", include_dashboard=False)
        self.add("b")
        self.add("c")
        self.address = self._cluster.address
        ray.init(
            self.address,
            runtime_env={"working_dir": str(app.parent), "env_vars": {"SHOP": "for handlers"}},
        )

    def add(self, zone: str, **options: Any) -> None:
        self.nodes[zone] = self._cluster.add_node(
            num_cpus=1, resources={"place": 4}, labels={"zone": zone}, **options
        )

    def kill(self, zone: str) -> None:
        """Have a node end as by a power cut."""
        self._cluster.remove_node(self.nodes.pop(zone), allow_graceful=False)

    def zone_of(self, pid: int) -> str:
        """Where the process has been started."""
        raylets = {
            each.process.pid: zone
            for zone, node in self.nodes.items()
            for each in node.all_processes["raylet"]
        }
        while pid not in raylets:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return raylets[pid]

    def end(self) -> None:
        self.ray.shutdown()
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with (
        # Paths of Unix sockets are short.
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as temporary,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", temporary)
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", RAYS_TOKEN)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(tmp_path_factory.mktemp("ray"))
        yield cluster
        cluster.end()


def files(team: Team, role: str = "worker-host") -> dict[str, str]:
    return {
        "ca_file": str(team.folder / "ca.pem"),
        "token_file": str(team.folder / f"{role}.token"),
    }


def shown_by_processes(text: str) -> list[Path]:
    """The command lines and environments that have a text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for path in Path("/proc", pid, "cmdline"), Path("/proc", pid, "environ"):
            # It may have ended meanwhile.
            with suppress(OSError):
                found += [path] if text.encode() in path.read_bytes() else []
    return found


def test_a_node_dies_and_nothing_is_lost(
    cluster: Cluster, team: Team, address: str, tmp_path: Path
) -> None:
    words = Words(tmp_path)
    with ExitStack() as stack:
        hosts = RayWorkerHosts(address, hosts=2, slots=2, resources={"place": 1}, **files(team))
        stack.enter_context(hosts)
        runner = stack.enter_context(
            DurableFunctionTestRunner(
                until_told,
                coordinator=address,
                invocation_retries=None,
                # Ray may take half a minute to notice that a node is gone.
                invocation_timeout=PATIENCE,
            )
        )
        here = {cluster.zone_of(each.pid): each.pid for each in runner.status().hosts}
        assert len(here) == 2, "They are spread."
        handles = [runner.start({**words.event, "id": number}) for number in range(4)]
        assert words.hear(4) == [0, 1, 2, 3]
        # This process is connected with the first.
        zone, pid = max(here.items())
        dead = [Watched(pid), *children(pid)]
        cluster.kill(zone)
        assert all_gone(dead, LIMIT)
        # They run again only once Ray has brought the host back: the other one is full.
        again = words.hear(2)
        words.say(4)
        results = [handle.result(timeout=LIMIT) for handle in handles]
        assert [each.get_deserialized_result() for each in results] == [0, 1, 2, 3]
        assert [number for number, each in enumerate(results) if len(each.invocations) > 1] == again
        assert all(cluster.zone_of(each.pid) != zone for each in runner.status().hosts)
        left = [
            each
            for host in runner.status().hosts
            for each in (Watched(host.pid), *children(host.pid))
        ]
    assert all_gone(left, LIMIT)


def test_an_actor_dies_and_has_seen_nothing(cluster: Cluster, team: Team, address: str) -> None:
    secret = (team.folder / "worker-host.token").read_text().strip()
    with (
        RayWorkerHosts(address, **files(team)),
        DurableFunctionTestRunner(order, coordinator=address, invocation_retries=None) as runner,
    ):
        (host,) = runner.status().hosts
        assert shown_by_processes(RAYS_TOKEN)
        assert not shown_by_processes(secret)
        actor = int(Path(f"/proc/{host.pid}/stat").read_text().rpartition(")")[2].split()[1])
        # Nothing of an execution goes through it.
        os.kill(actor, signal.SIGSTOP)
        result = runner.run({"id": 1}, timeout=LIMIT).get_deserialized_result()
        dead = [Watched(actor), Watched(host.pid), *children(host.pid)]
        os.kill(actor, signal.SIGKILL)
        assert all_gone(dead, LIMIT)
        assert runner.run({"id": 2}, timeout=LIMIT).get_deserialized_result()["id"] == 2
    assert "SHOP=for handlers" in result["environment"]
    # Neither Ray's token, nor where the other is, nor Ray's debugger.
    assert RAYS_TOKEN not in result["environment"]
    assert "PYTHONBREAKPOINT" not in result["environment"]
    assert str(team.folder) not in result["environment"]


@pytest.mark.parametrize("end", ["close", "forget"])
def test_the_end_lets_invocations_end(
    cluster: Cluster, team: Team, standing: Process, address: str, tmp_path: Path, end: str
) -> None:
    words = Words(tmp_path)
    zone = max(cluster.nodes)
    hosts = RayWorkerHosts(
        address,
        label_selector={"zone": zone},
        labels={"on": "ray"},
        app_dir=str(TESTS),
        **files(team),
    ).open()
    with DurableFunctionTestRunner(until_told, coordinator=address, labels={"on": "ray"}) as runner:
        (host,) = runner.status().hosts
        assert cluster.zone_of(host.pid) == zone
        left = [Watched(host.pid), *children(host.pid)]
        handle = runner.start({**words.event, "id": 1})
        assert words.hear(1) == [1]

        def go() -> None:
            standing.says(": drains, with 1 workers")
            words.say(1)

        going = threading.Thread(target=go)
        going.start()
        if end == "close":
            hosts.close()
            assert all_gone(left, 0)
        del hosts
        assert all_gone(left, LIMIT)
        going.join(LIMIT)
        result = handle.result(timeout=LIMIT)
    assert result.get_deserialized_result() == 1
    assert [each.error for each in result.invocations] == [None]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"role": "client"}, "refused this host: The token is missing or wrong"),
        (
            {"coordinator": "127.0.0.1:9", "start_timeout": 8.0},
            "1 of 1 worker hosts have not joined the coordinator at 127.0.0.1:9 within 8 s: "
            "nothing answers 1 of them there.",
        ),
        (
            {
                "resources": {"CPU": 64, "disk": 1},
                "label_selector": {"zone": "b"},
                "start_timeout": 2.0,
            },
            "Ray has not started 1 of them, and each wants {CPU: 64, disk: 1} of a node with the "
            "labels {zone: b}; `ray status` shows what there is.",
        ),
    ],
    ids=["token", "coordinator", "place"],
)
def test_what_prevents_it_is_one_sentence(
    cluster: Cluster, team: Team, address: str, changed: dict[str, Any], complaint: str
) -> None:
    changed = dict(changed)
    given = {"coordinator": address, **files(team, changed.pop("role", "worker-host")), **changed}
    with pytest.raises(WorkersUnavailable) as raised:
        RayWorkerHosts(**given).open()
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def outcome(*lines: str) -> str:
    """What a process says on standard error that runs some lines of Python."""
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return ended.stderr


def test_a_token_where_handlers_can_read_it_is_refused(cluster: Cluster, address: str) -> None:
    said = outcome(
        "import ray",
        "from async_durable_execution_runner import RayWorkerHosts",
        "variables = {'DURABLE_RUNNER_TOKEN': 'a secret'}",
        f"ray.init({cluster.address!r}, runtime_env={{'env_vars': variables}})",
        f"RayWorkerHosts({address!r}).open()",
    )
    assert "WorkersUnavailable: Ray cannot start a worker host: " in said
    assert "DURABLE_RUNNER_TOKEN is in the environment of Ray's processes" in said


def test_a_process_that_has_joined_no_ray_cluster_is_told_so() -> None:
    said = outcome(
        "from async_durable_execution_runner import RayWorkerHosts",
        "RayWorkerHosts('127.0.0.1:9').open()",
    )
    assert "NotStarted: Ray is not connected here: call ray.init() with" in said
