"""A suite under pytest-xdist: one coordinator and one pool for all of its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import all_gone, children

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

FLOWS = """
    import os
    from async_durable_execution import durable_execution, step

    async def process():
        return os.getpid()

    @durable_execution
    async def order(event):
        return await step(process, name="process")
"""


def told(pytester: pytest.Pytester) -> list[list[str]]:
    return [line.split() for line in (pytester.path / "told").read_text().splitlines()]


def test_all_workers_share_one_coordinator_and_a_bounded_pool(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import os, flows, pytest
        from async_durable_execution_runner import DurableFunctionTestRunner

        @pytest.mark.parametrize("number", range(12))
        def test_order(number):
            with DurableFunctionTestRunner(flows.order) as runner:
                # The same name in every test, with another input.
                result = runner.run({"number": number}, execution_name="order")
                worker = result.get_deserialized_result()
                with open("told", "a") as told:
                    print(runner.status().pid, os.getpid(), worker, file=told)
        """
    )
    outcome = pytester.runpytest_subprocess("-n3", "--durable-workers=2")
    outcome.assert_outcomes(passed=12)
    coordinators, processes, workers = map(set, zip(*told(pytester), strict=True))
    assert (len(coordinators), len(processes)) == (1, 3)
    assert len(workers) <= 2


def test_a_suite_that_does_not_need_it_starts_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from processes import children

        def test_nothing():
            assert "grpc" not in sys.modules
            assert not any(b"durable" in each.command for each in children(os.getppid()))
        """
    )
    pytester.runpytest_subprocess("-n2").assert_outcomes(passed=1)


def test_nothing_is_left_when_the_controller_is_killed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import flows
        from async_durable_execution_runner import DurableFunctionTestRunner

        def test_order():
            with DurableFunctionTestRunner(flows.order) as runner:
                runner.run()
                open("begun", "w").close()
                open("never").read()
        """
    )
    for name in ("begun", "never"):
        os.mkfifo(pytester.path / name)
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-n2"], cwd=pytester.path, stdout=subprocess.DEVNULL
    ) as controller:
        try:
            (pytester.path / "begun").read_text()
            watched = children(controller.pid)
            watched += [below for each in watched for below in children(each.pid)]
            ours = [each for each in watched if b"async_durable" in each.command]
            assert any(b"coordinator" in each.command for each in ours)
        finally:
            controller.send_signal(signal.SIGKILL)
    # A test that hangs holds up the worker of xdist, which is not ours to end.
    assert all_gone(ours, 5)
    (pytester.path / "never").write_text("")
    assert all_gone(watched, 5)


def test_the_others_go_on_when_a_worker_of_xdist_dies(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import os, signal, flows, pytest
        from async_durable_execution_runner import DurableFunctionTestRunner

        @pytest.mark.parametrize("number", range(6))
        def test_order(number):
            with DurableFunctionTestRunner(flows.order, workers=1):
                pass
            with DurableFunctionTestRunner(flows.order) as runner:
                runner.run()
                if number == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                status = runner.status()
                with open("told", "a") as told:
                    print(status.pid, *(host.pid for host in status.hosts), file=told)
        """
    )
    outcome = pytester.runpytest_subprocess("-n2")
    outcome.assert_outcomes(passed=5, failed=1)
    outcome.stdout.fnmatch_lines(["Its process * was ended by SIGKILL, as the kernel does *"])
    # The first host has a place for each processor, so that no second one is needed.
    assert len({(coordinator, host) for coordinator, host in told(pytester)}) == 1


def test_a_worker_of_xdist_that_dies_is_reported_with_the_cause(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import os, signal, flows
        from async_durable_execution import durable_execution
        from async_durable_execution_runner import DurableFunctionTestRunner

        @durable_execution
        async def crashes(event):
            os.kill(os.getpid(), signal.SIGSEGV)

        def test_inline():
            with DurableFunctionTestRunner(crashes, isolation="inline") as runner:
                runner.run()

        def test_exit():
            with DurableFunctionTestRunner(flows.order, isolation="inline") as runner:
                runner.run()
            os._exit(3)
        """
    )
    outcome = pytester.runpytest_subprocess("-n1", "--junitxml=junit.xml", "-pno:faulthandler")
    outcome.assert_outcomes(failed=2)
    inline = "Runners had 'crashes' run inline, in that process: *"
    outcome.stdout.fnmatch_lines(["[[]gw0] *", "[[]gw0] Its process * by SIGSEGV.", inline])
    outcome.stdout.fnmatch_lines(
        [
            "worker 'gw0' crashed while running *::test_inline'",
            "Its process (pid *) was ended by SIGSEGV.",
            inline,
            "worker 'gw1' crashed while running *::test_exit'",
            "Its process (pid *) exited with code 3.",
        ]
    )
    # While the session runs, and in the report.
    assert outcome.stdout.str().count("run inline") == 2
    assert "was ended by SIGSEGV" in (pytester.path / "junit.xml").read_text()
