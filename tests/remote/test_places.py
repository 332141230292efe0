"""How executions share the places of several worker hosts."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from .handlers import returning
from .team import LIMIT, DurableFunctionTestRunner, Team, coordinator, worker_host

pytestmark = pytest.mark.processes


def test_hosts_are_used_evenly_and_executions_go_back_to_their_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four executions that run at once take all places of two hosts."""
    team = Team(tmp_path / "team")
    for name, value in team.by_token("client").items():
        monkeypatch.setenv(name, value)
    events = [{each: str(tmp_path / f"{each}-{n}") for each in ("begun", "go")} for n in range(4)]
    for event in events:
        for fifo in event.values():
            os.mkfifo(fifo)
    variables = team.by_token("worker-host")
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, variables) as one,
        worker_host(address, variables) as other,
        DurableFunctionTestRunner(returning, coordinator=address) as runner,
    ):
        one.says("connected to")
        other.says("connected to")
        handles = [runner.start(event) for event in events]
        for event in events:
            Path(event["begun"]).read_text()
        workers = {each.pid: each.host_id for each in runner.status().workers}
        assert sorted(Counter(workers.values()).values()) == [2, 2]
        for event in events:
            Path(event["go"]).write_text("go")
        pids = [each.result(timeout=LIMIT).get_deserialized_result() for each in handles]
        assert sorted(first for first, _ in pids) == sorted(workers)
        assert all(first == second for first, second in pids)
