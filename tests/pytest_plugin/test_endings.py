"""Sessions, tests and tries that end early: no process and no folder stays, and each says why."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from processes import Watched, all_gone, children

from async_durable_execution_runner.pytest_plugin.lender import Borrower

pytest_plugins = ["pytester"]

FLOWS = """
    import os, time
    from async_durable_execution import durable_execution, step

    async def process():
        return os.getpid()

    @durable_execution
    async def order(event):
        print("ordered", event)
        return await step(process, name="process")

    @durable_execution
    async def hangs(event):
        open("hangs", "w").close()
        time.sleep(100)
"""

HANGS = """
    import flows

    def test_hangs(make_durable_runner):
        make_durable_runner(flows.hangs).run(timeout=100)

    def test_fails(make_durable_runner):
        make_durable_runner(flows.hangs).start()
        open("fails").read()
        assert False

    def test_is_not_run():
        pass
"""


def below(pid: int) -> list[Watched]:
    """All processes below one, which all live."""
    found = children(pid)
    for each in found:
        found += children(each.pid)
    return found


@pytest.fixture
def folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A suite's folder, whose processes have a temporary folder of their own."""
    pytester.makepyfile(flows=FLOWS)
    for name in ("hangs", "fails"):
        os.mkfifo(pytester.path / name)
    # The path of a socket has to be short.
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        yield pytester.path


def folders() -> list[Path]:
    """Those that clusters have."""
    return list(Path(os.environ["TMPDIR"]).glob("durable-*"))


def ended_by(
    folder: Path, arguments: str, end: Any, within: float = 20
) -> tuple[int | None, str, list[Watched]]:
    """Start pytest, call `end` with its process when a handler hangs in it; return pytest's exit
    status, its output, and all processes that there were below it."""
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as pytest_process:
        giving_up = threading.Timer(60, os.killpg, (pytest_process.pid, signal.SIGKILL))
        giving_up.start()
        try:
            (folder / "hangs").read_text()
            watched = below(pytest_process.pid)
            assert sum(b"coordinator" in each.command for each in watched) == 1
            assert folders()
            end(pytest_process, watched)
            text, _ = pytest_process.communicate(timeout=within)
        finally:
            giving_up.cancel()
            if pytest_process.poll() is None:
                os.killpg(pytest_process.pid, signal.SIGKILL)
    return pytest_process.returncode, text, watched


def interrupt(process: subprocess.Popen[str], watched: list[Watched]) -> None:
    os.killpg(process.pid, signal.SIGINT)


def interrupt_twice(process: subprocess.Popen[str], watched: list[Watched]) -> None:
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)


def terminate(process: subprocess.Popen[str], watched: list[Watched]) -> None:
    process.terminate()


def hang_up(process: subprocess.Popen[str], watched: list[Watched]) -> None:
    os.killpg(process.pid, signal.SIGHUP)


def let_fail(process: subprocess.Popen[str], watched: list[Watched]) -> None:
    with open("fails", "w"):
        pass


def kill_all_of_pytest(process: subprocess.Popen[str], watched: list[Watched]) -> None:
    os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        ("-pno:xdist", interrupt),
        ("-n1", interrupt),
        ("-n1", interrupt_twice),
        ("-pno:xdist", terminate),
        ("-n1", hang_up),
        ("-n1", kill_all_of_pytest),
        ("-n1 -x --deselect=test_hangs.py::test_hangs", let_fail),
    ],
)
def test_a_session_leaves_nothing_however_it_ends(
    pytester: pytest.Pytester, folder: Path, arguments: str, end: Any
) -> None:
    pytester.makepyfile(test_hangs=HANGS)
    status, text, watched = ended_by(folder, arguments, end)
    assert all_gone(watched, 5)
    assert not folders()
    if end is interrupt:
        assert status == pytest.ExitCode.INTERRUPTED
        assert "it waits for invocation 1 " in text
        assert "time.sleep(100)" in text
        if arguments == "-n1":
            assert "[gw0] interrupted in test_hangs.py::test_hangs" in text
    elif end is let_fail:
        assert "hangs · PENDING" in text
        assert "1 failed in" in text


@pytest.mark.processes
def test_time_outs_of_pytest_timeout(pytester: pytest.Pytester, folder: Path) -> None:
    pytester.makepyfile(
        """
        import os, signal, threading, flows, pytest
        from async_durable_execution_runner import AsyncDurableFunctionTestRunner

        @pytest.mark.timeout(60, method="signal")
        async def test_awaits():
            def when_it_runs():
                open("hangs").read()
                # The time of pytest-timeout is up.
                os.kill(os.getpid(), signal.SIGALRM)

            threading.Thread(target=when_it_runs).start()
            async with AsyncDurableFunctionTestRunner(flows.hangs) as runner:
                await runner.run(timeout=100)

        @pytest.mark.timeout(0.1)
        def test_ends_its_process():
            threading.Event().wait()

        def test_goes_on(make_durable_runner):
            make_durable_runner(flows.order).run()
        """
    )
    outcome = pytester.runpytest_subprocess("-n1", "--timeout-method=thread", "-oasyncio_mode=auto")
    outcome.assert_outcomes(passed=1, failed=2)
    outcome.stdout.fnmatch_lines(
        [
            "*- durable functions -*",
            "hangs · PENDING · 1 invocation",
            "waiting for *time.sleep(100)",
            "worker 'gw0' crashed while running *::test_ends_its_process'",
            "Its process (pid *) exited with code 1, as pytest-timeout has it do *",
        ]
    )
    # The traceback of an asynchronous test begins in what its reader knows.
    outcome.stdout.no_fnmatch_line("*pytest_plugin*")


@pytest.mark.processes
def test_each_try_of_a_test_has_executions_and_a_section_of_its_own(
    pytester: pytest.Pytester, folder: Path
) -> None:
    pytester.makepyfile(
        """
        import random, flows, pytest

        tries = []

        @pytest.fixture(autouse=True)
        def as_pytest_randomly():
            random.seed(1)

        def test_passes_then(make_durable_runner, durable_pool):
            tries.append(1)
            assert durable_pool.status().executions == 0
            make_durable_runner(flows.order).run(len(tries), execution_name="same")
            assert len(tries) > 1

        arns = []

        def test_fails(make_durable_runner):
            arns.append(make_durable_runner(flows.order).run(f"try {len(arns)}").execution_arn)
            assert len(set(arns)) == len(arns), "ids come from what pytest-randomly seeds"
            assert False
        """
    )
    outcome = pytester.runpytest_subprocess("-n1", "--reruns=2", "--junitxml=junit.xml")
    assert outcome.parseoutcomes() == {"passed": 1, "failed": 1, "rerun": 3}
    assert outcome.stdout.str().count("- durable functions -") == 1
    assert re.findall("^input .*", outcome.stdout.str(), re.M) == ['input        "try 2"']
    xml = (folder / "junit.xml").read_text()
    # A try is a test case there.
    sections = re.findall('name="durable_functions" value="([^"]*)"', xml)
    assert [re.findall("ordered [^&]*", each) for each in sections] == [
        ["ordered 1"],
        ["ordered try 0"],
        ["ordered try 1"],
        ["ordered try 2"],
    ]


@pytest.mark.processes
def test_a_fork_of_a_worker_of_xdist_has_a_cluster_of_its_own(
    pytester: pytest.Pytester, folder: Path
) -> None:
    pytester.makepyfile(
        """
        import os, flows
        from async_durable_execution_runner import DurableFunctionTestRunner

        def order():
            with DurableFunctionTestRunner(flows.order) as runner:
                runner.run()
                return runner.status().pid

        def in_a_fork(tmp_path):
            pid = os.fork()
            if pid == 0:
                try:
                    (tmp_path / "told").write_text(str(order()))
                except BaseException as error:
                    (tmp_path / "told").write_text(str(error))
                finally:
                    # As those do that fork on purpose, so that clusters end with their owner.
                    os._exit(0)
            os.waitpid(pid, 0)
            return (tmp_path / "told").read_text()

        def test_order(tmp_path):
            there = in_a_fork(tmp_path)
            assert there.isdecimal()
            assert order() not in (int(there), os.getpid())
            assert "was forked from one that had a runner" in in_a_fork(tmp_path)
            order()
        """
    )
    outcome = pytester.runpytest_subprocess("-n1")
    outcome.assert_outcomes(passed=1)
    assert not folders()


class InterruptedOnce:
    """A worker's end of an execnet channel: Ctrl-C comes while the first answer is waited for."""

    TimeoutError = TimeoutError

    def __init__(self) -> None:
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._interrupted = False

    def send(self, asked: tuple[int, str, Any]) -> None:
        number, question, argument = asked
        self._answers.put((number, "", f"{question} {argument}"))

    def receive(self, timeout: float) -> Any:
        if not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt
        return self._answers.get(timeout=0)


def test_an_interrupted_question_does_not_shift_the_answers() -> None:
    borrower = Borrower(InterruptedOnce())
    with pytest.raises(KeyboardInterrupt):
        borrower.ask("slots", 1)
    assert borrower.ask("slots", 2) == "slots 2"
