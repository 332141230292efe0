"""Sessions of pytest on a coordinator that runs already."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .team import TESTS, Team, coordinator, free_port, worker_host

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

SUITE = """
    import os
    from pathlib import Path
    import pytest
    from async_durable_execution_runner import DurableFunctionTestRunner
    from remote.handlers import order

    def parent(result):
        assert result.status.value == "SUCCEEDED", result
        return str(result.get_deserialized_result()["parent"])

    @pytest.mark.durable(handler=order, labels={"release": "new"})
    @pytest.mark.parametrize("number", range(3))
    def test_by_fixture(durable_runner, number):
        Path(f"new-{number}").write_text(parent(durable_runner.run({"id": number})))

    def test_by_hand():
        with DurableFunctionTestRunner(order, labels={"release": "old"}) as runner:
            Path("old").write_text(parent(runner.run({"id": 1})))

    def test_whom_there_is(durable_pool):
        assert len(durable_pool.status().hosts) == 2
        assert os.environ["DURABLE_RUNNER_COORDINATOR"]
"""


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team(tmp_path_factory.mktemp("team") / "certificates")


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite for the handlers that a worker host has too."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makepyfile(SUITE)
    return pytester


def use(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_whole_session_runs_on_the_coordinator_that_its_ini_file_names(
    team: Team, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("client"))
    host = team.by_token("worker-host")
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, host, "--label", "release=old") as old,
        worker_host(address, host, "--label", "release=new") as new,
    ):
        old.says("connected to")
        new.says("connected to")
        suite.makeini(f"[pytest]\ndurable_coordinator = {address}\n")
        suite.runpytest_subprocess("-n2").assert_outcomes(passed=5)
        # A worker's parent is its host's forkserver.
        forkserver = {each: children(each) for each in (old.popen.pid, new.popen.pid)}
        told = {path.name: int(path.read_text()) for path in suite.path.glob("new-?")}
        assert set(told) == {"new-0", "new-1", "new-2"}
        assert set(told.values()) <= set(forkserver[new.popen.pid])
        assert int((suite.path / "old").read_text()) in forkserver[old.popen.pid]


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_session_that_is_not_let_in_ends_with_one_sentence(
    team: Team, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, team.by_token("client"))
    nowhere = f"127.0.0.1:{free_port()}"
    outcome = suite.runpytest_subprocess(f"--durable-coordinator={nowhere}")
    assert outcome.ret == pytest.ExitCode.INTERRUPTED
    outcome.assert_outcomes(errors=1)
    said = [line for line in outcome.outlines if nowhere in line]
    assert all(f"See whether the coordinator at {nowhere} runs" in line for line in said), said
    outcome.stdout.no_re_match_line(r".*(Error|registration\.py|Traceback|^E  )")

    use(monkeypatch, team.by_token("worker-host"))
    with coordinator(*team.server(), *team.tokens()) as address:
        monkeypatch.setenv("DURABLE_RUNNER_COORDINATOR", address)
        outcome = suite.runpytest_subprocess("-n2")
    assert outcome.ret == pytest.ExitCode.INTERRUPTED
    # Each of two processes may have begun a test.
    assert 1 <= len(re.findall("^_+ ", outcome.stdout.str(), re.M)) <= 2
    refused = f"The coordinator at {address} lets no runner in: The token is missing or wrong"
    outcome.stdout.fnmatch_lines(f"*{refused}*")
    outcome.stdout.no_re_match_line(r".*(Error|registration\.py|Traceback|^E  )")
