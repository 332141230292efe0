"""Worker hosts and workers that cannot start: a clear error, and an end of trying."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner, WorkersUnavailable

from .misdeeds import misbehave
from .tree import descendants, is_gone

pytestmark = pytest.mark.processes

# Runs in every Python process below, before anything of ours.
_BREAK = """
import os, sys
if "async_durable_execution_runner.host" in sys.orig_argv:
    {how}
"""

_WORKERS_DIE = """
    forks = []
    def after_fork():
        forks.append(1)
        # The first fork is the forkserver, what it forks are the workers.
        if len(forks) > 1:
            with open({log!r}, "a") as log:
                log.write("died\\n")
            os._exit(13)
    os.register_at_fork(after_in_child=after_fork)
"""

_FORKSERVER_DIES = """
    os.register_at_fork(after_in_child=lambda: os._exit(14))
"""

_HOST_DIES = """
    sys.stderr.write("no worker host may run on this machine\\n")
    os._exit(15)
"""


def break_workers(monkeypatch: pytest.MonkeyPatch, folder: Path, how: str) -> None:
    (folder / "sitecustomize.py").write_text(_BREAK.format(how=how.strip()))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")


def test_workers_that_die_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    break_workers(monkeypatch, tmp_path, _WORKERS_DIE.format(log=str(log)))
    with DurableFunctionTestRunner(handler=misbehave, workers=1, listen="127.0.0.1:0") as runner:
        with pytest.raises(WorkersUnavailable) as error:
            runner.run({}, timeout=20)
        assert str(error.value) == (
            "Workers cannot be started: 3 workers in a row ended before they were ready, "
            "the last with exit status 13."
        )
        # Nobody goes on trying, and whoever comes later is told at once.
        began = time.monotonic()
        with pytest.raises(WorkersUnavailable, match="exit status 13"):
            runner.run_many([{}] * 20, timeout=20)
        assert time.monotonic() - began < 5
        assert len(log.read_text().splitlines()) == 3
        assert "3 workers in a row" in runner.status().trouble


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        (_HOST_DIES, "exited with code 15; its last output was:\nno worker host may run on this"),
        (_FORKSERVER_DIES, "The worker host lost the process that forks its workers"),
    ],
    ids=["host", "forkserver"],
)
def test_hosts_that_die_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str, cause: str
) -> None:
    break_workers(monkeypatch, tmp_path, how)
    before = set(descendants(os.getpid()))
    with DurableFunctionTestRunner(handler=misbehave, workers=1, listen="127.0.0.1:0") as runner:
        began = time.monotonic()
        with pytest.raises(WorkersUnavailable) as error:
            runner.run({}, timeout=30)
        assert cause in str(error.value)
        assert "is not started again" in str(error.value)
        assert time.monotonic() - began < 15
        assert all(is_gone(pid) for pid in set(descendants(os.getpid())) - before)


def test_what_runs_inline_needs_no_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    break_workers(monkeypatch, tmp_path, _WORKERS_DIE.format(log=str(tmp_path / "log")))
    with DurableFunctionTestRunner(
        handler=misbehave, workers=1, isolation="inline", listen="127.0.0.1:0"
    ) as runner:
        assert runner.run({}, timeout=20).result == '"fine"'


_MANY_WITH_FEW_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
from async_durable_execution_runner import DurableFunctionTestRunner
from tests_handler import answer
with DurableFunctionTestRunner(handler=answer, workers=2) as runner:
    results = runner.run_many([{}] * 150, timeout=60)
print(sum(result.result == "42" for result in results))
"""


def test_many_executions_where_a_process_may_have_few_files(tmp_path: Path) -> None:
    (tmp_path / "tests_handler.py").write_text(
        "from async_durable_execution import durable_execution\n"
        "@durable_execution\n"
        "async def answer(event):\n"
        "    return 42\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", _MANY_WITH_FEW_FILES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert (done.stdout, done.returncode) == ("150\n", 0), done.stderr
