"""`durable-runner workers`: what there is and what it runs, once, as it changes, on a screen."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pytest_plugin.terminal import Terminal

from async_durable_execution_runner.cli.workers import listing
from async_durable_execution_runner.client.control import HostStatus, RunnerStatus, WorkerStatus

from .handlers import patient
from .team import (
    COMMAND,
    LIMIT,
    DurableFunctionTestRunner,
    Process,
    Team,
    coordinator,
    worker_host,
)


@pytest.mark.processes
def test_hosts_and_workers_are_listed_with_what_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Team(tmp_path / "team")
    client, hosts = team.by_token("client"), team.by_token("worker-host")
    for name, value in client.items():
        monkeypatch.setenv(name, value)
    event = {"begun": str(tmp_path / "begun"), "go": str(tmp_path / "go")}
    for path in event.values():
        os.mkfifo(path)
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, hosts, "--label", "site=a") as draining,
        worker_host(address, hosts, "--label", "site=b") as killed,
        Process("workers", "--connect", address, "--watch", env=client) as changes,
        DurableFunctionTestRunner(patient, coordinator=address, labels={"site": "a"}) as runner,
    ):
        for each in draining, killed:
            each.says("connected to")
        handle = runner.start(event, "o-17")
        assert Path(event["begun"]).read_text() == "begun"
        changes.says("2 worker hosts, 1 of 4 slots busy, 0 invocations wait")
        assert re.search(r"busy +\d.* 1  +patient/o-17$", changes.says("/o-17").rstrip())

        draining.popen.send_signal(signal.SIGTERM)
        changes.says("draining, 1 of 2 slots busy")
        killed.popen.kill()
        changes.says(f"pid {killed.popen.pid}  lost ")
        assert "site=b" in changes.says("site=")

        env = {**client, "DURABLE_RUNNER_COORDINATOR": address}
        with Process("workers", "--json", env=env) as once:
            code, said = once.end()
        assert code == 0
        status = json.loads(said)
        assert [each["draining"] for each in status["hosts"]] == [True]
        assert [each["pid"] for each in status["lost_hosts"]] == [killed.popen.pid]
        (busy,) = (each for each in status["workers"] if each["state"] == "busy")
        assert busy["host_id"] == status["hosts"][0]["host_id"]
        assert (busy["function_name"], busy["invocation"]) == ("patient", 1)
        assert busy["running_seconds"] > 0

        command = [*COMMAND, "workers", "--watch"]
        with Terminal(tmp_path, command=command, env=env) as terminal:
            for _ in range(2):
                terminal.until("\x1b[H1 worker host, ")
                terminal.until("patient/o-17")
            terminal.process.send_signal(signal.SIGINT)
            assert terminal.ends() == 0
            left = terminal.shown.rpartition("\x1b[?1049l")[2]
            assert left.startswith("1 worker host, 1 of 2 slots busy")
            assert "\x1b" not in left
            assert "Traceback" not in left

        changes.popen.send_signal(signal.SIGINT)
        code, said = changes.end()
        assert code == 0
        printed = re.split(r"^\d{4}-.*\n", said, flags=re.M)[1:]
        still = [re.sub(r"\d[\d.]* (ms|s|min)\b", "", each) for each in printed]
        # It is printed when something has changed, and time alone changes nothing.
        assert all(one != next for one, next in pairwise(still))
        Path(event["go"]).write_text("done")
        assert handle.result(timeout=LIMIT).get_deserialized_result() == "done"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("token", "code", "complaint"),
    [
        ("any", 1, "See whether the coordinator at 127.0.0.1:1 runs"),
        ("", 2, "DURABLE_RUNNER_TOKEN is not set: it must hold the token of the coordinator"),
    ],
)
def test_a_coordinator_that_cannot_be_asked_is_one_sentence(
    token: str, code: int, complaint: str
) -> None:
    env = {"DURABLE_RUNNER_TOKEN": token}
    with Process("workers", "--connect", "127.0.0.1:1", "--watch", env=env) as asks:
        ended, said = asks.end()
    assert ended == code
    assert complaint in said
    assert said.count("\n") == 1


@pytest.mark.processes
def test_whoever_waits_for_a_coordinator_that_says_nothing_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with Process("workers", "--connect", address, env={"DURABLE_RUNNER_TOKEN": "t"}) as asks:
            asks.says(f"Nothing has come from the coordinator at {address} yet")


def host(name: str, **more: Any) -> HostStatus:
    labels = {"name": name, "python": "3.11.9", "runner": "0.1.0", "sdk": "2.5.0", "zone": "a-zone"}
    return HostStatus(f"id of {name}", 7, 100, labels, **more)


def worker(on: str, pid: int, seconds: float = 0.0) -> WorkerStatus:
    ids = f"worker {pid}", f"id of {on}", pid
    if not seconds:
        return WorkerStatus(*ids, "idle", "", "", "", 0, 0.0)
    arn = "arn:aws:lambda:us-east-1:1:function:f:$LATEST/durable-execution/o-1/x"
    return WorkerStatus(*ids, "busy", f"request {pid}", "f", arn, 2, seconds)


def test_a_list_that_is_too_long_for_its_screen_has_all_hosts_and_the_busiest_workers() -> None:
    workers = [worker("one", pid, pid % 2 * pid) for pid in range(100, 200)]
    status = RunnerStatus(
        pid=1,
        hosts=[host("two", draining=True), host("one")],
        workers=[*workers, worker("two", 201)],
        executions=60,
        queued_invocations=1,
        trouble="",
        lost_hosts=[host("three\x1b[2J", lost_seconds=61, lost_workers=3)],
    )
    assert len(listing(status)) > 100
    assert listing(status, 50, 17) == [
        "2 worker hosts, 50 of 200 slots busy, 1 invocation waits",
        "",
        "one  pid 7  50 of 100 slots busy",
        "  python=3.11.9 runner=0.1.0 sdk=2.5.0 zone=a-zone",
        "  pid  state  for         invocation  of",
        "  199  busy   3 min 19 s  2           f/o-1",
        "  197  busy   3 min 17 s  2           f/o-1",
        "  195  busy   3 min 15 s  2           f/o-1",
        "  … 97 more",
        "",
        "two  pid 7  draining, 0 of 100 slots busy",
        "  python=3.11.9 runner=0.1.0 sdk=2.5.0 zone=a-zone",
        "  pid  state  for         invocation  of",
        "  201  idle",
        "",
        "three\\x1b[2J  pid 7  lost 1 min 1 s ago, with 3 workers",
        "  python=3.11.9 runner=0.1.0 sdk=2.5.0 zone=a-zone",
    ]
    short = listing(status, 50, 5)
    assert len(short) == 5
    assert short[-1].endswith("more lines, for which this terminal is too low")
