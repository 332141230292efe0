"""What Prometheus reads of a coordinator, over HTTP."""

from __future__ import annotations

import os
import re
import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .handlers import order, patient
from .team import LIMIT, TESTS, DurableFunctionTestRunner, Process, Team, worker_host

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team(tmp_path_factory.mktemp("team") / "certificates")


def figures(url: str) -> dict[str, float]:
    """All figures, as `name` or `name{label}`."""
    with urllib.request.urlopen(url, timeout=LIMIT) as answer:
        text = answer.read().decode()
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def documented() -> set[str]:
    page = (TESTS.parent / "docs" / "remote-workers.md").read_text(encoding="utf-8")
    rows = page.partition("| figures, each")[2].partition("\n\n")[0].splitlines()
    return {name for row in rows for name in re.findall(r"`(\w+)[`{]", row.split("|")[1])}


def test_a_coordinator_offers_what_happens_in_it(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in team.by_token("client").items():
        monkeypatch.setenv(name, value)
    event = {"begun": str(tmp_path / "begun"), "go": str(tmp_path / "go")}
    for path in event.values():
        os.mkfifo(path)
    options = [*team.server(), *team.tokens(), "--metrics", "127.0.0.1:0"]
    with Process("coordinator", "--listen", "127.0.0.1:0", *options) as process:
        url = process.says("Metrics are at ").split(" at ")[1].strip().removesuffix(".")
        address = process.says("listens on").split(" listens on ")[1].split(",")[0]
        found = figures(url)
        # All are there from the beginning, so that none is missing as long as it is 0.
        assert found["durable_runner_executions_ended_total{timed_out}"] == 0
        assert found["durable_runner_worker_exits_total{memory}"] == 0
        offered = {re.sub(r"_(bucket|count|sum)$", "", each.partition("{")[0]) for each in found}
        assert offered == {f"durable_runner_{name}" for name in documented()}
        with (
            worker_host(address, team.by_token("worker-host")) as host,
            DurableFunctionTestRunner(order, coordinator=address) as runner,
        ):
            runner.register_durable_function("patient", patient)
            host.says("connected to")
            killed = runner.run({"id": 1}, timeout=LIMIT, faults="kill@after-commit:1")
            assert len(killed.invocations) == 3
            handle = runner.start(event, function_name="patient")
            assert Path(event["begun"]).read_text() == "begun"
            expected = {
                "executions_started_total": 2,
                "executions_ended_total{succeeded}": 1,
                "executions_running": 1,
                "executions_remembered": 2,
                "invocations_total{died}": 1,
                "invocations_total{pending}": 1,
                "invocations_total{succeeded}": 1,
                "invocations_queued": 0,
                "leases_granted_total": 4,
                "leases_held": 1,
                "leases_lost_total": 1,
                "worker_exits_total{fault}": 1,
                "worker_hosts{connected}": 1,
                "workers{busy}": 1,
                "slots": 2,
                "slots_busy": 1,
            }
            found = figures(url)
            assert {name: found[f"durable_runner_{name}"] for name in expected} == expected
            # Those of an execution with a planned fault are not what a checkpoint takes.
            seconds = "durable_runner_checkpoint_duration_seconds"
            before = found[f"{seconds}_count"]
            Path(event["go"]).write_text("done")
            handle.result(timeout=LIMIT)
            found = figures(url)
        assert found[f"{seconds}_count"] > before
        assert found[f"{seconds}_bucket{{+Inf}}"] == found[f"{seconds}_count"]
        assert 0 < found[f"{seconds}_sum"] < LIMIT


@pytest.mark.parametrize("address", ["taken", "no.such.host.invalid:9464"])
def test_an_address_for_metrics_that_cannot_be_is_one_sentence(team: Team, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if address == "taken":
            address = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ["--listen", "127.0.0.1:0", *team.tokens(), "--metrics", address]
        with Process("coordinator", *options) as process:
            code, said = process.end()
    assert code == 2
    assert said.startswith(f"Cannot listen on {address}: ")
    assert said.count("\n") == 1


def test_metrics_without_their_package_name_the_extra(team: Team, tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['prometheus_client'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    options = ["--listen", "127.0.0.1:0", *team.tokens(), "--metrics", "127.0.0.1:0"]
    with Process("coordinator", *options, env={"PYTHONPATH": str(tmp_path)}) as process:
        code, said = process.end()
    assert code == 2
    assert 'pip install "async-durable-execution-runner[metrics]"' in said
    assert said.count("\n") == 1
