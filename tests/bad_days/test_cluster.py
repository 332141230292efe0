"""The runner's own processes die: coordinator, worker host, workers, the test itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import Watched, all_gone

from async_durable_execution_runner import (
    CoordinatorUnavailable,
    DurableFunctionTestRunner,
    InvocationStatus,
)

from .conftest import Begun, RunnerFor
from .misdeeds import ask, begin_and, misbehave, work_in_steps
from .tree import descendants

pytestmark = pytest.mark.processes

#: A cluster of its own, so that its deaths are not counted against the shared one.
OWN = {"listen": "127.0.0.1:0"}


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# -- the coordinator -----------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["worker", "inline"])
def test_when_the_coordinator_is_killed_every_call_under_way_says_so(
    runner_for: RunnerFor, begun: Begun, isolation: str
) -> None:
    # Handlers on threads of this process cannot be got rid of: these must end by themselves.
    deed = "sleep" if isolation == "worker" else "nap"
    runner = runner_for(begin_and, workers=4, isolation=isolation)
    runner.register_durable_function("ask", ask)
    busy = {"begun": begun.path, "do": deed}
    handle = runner.start(busy)
    asking = runner.start({}, function_name="ask")
    assert begun.wait()
    question = asking.wait_for_callback("question")
    calls: list[Callable[[], Any]] = [
        lambda: runner.run(busy),
        lambda: runner.run_many([busy, busy]),
        handle.result,
        handle.run_until_suspended,
        lambda: handle.wait_for_callback("never"),
        lambda: handle.advance(timedelta(days=1)),
    ]
    pid = runner.status().pid
    with ThreadPoolExecutor(len(calls)) as threads:
        under_way = [threads.submit(call) for call in calls]
        assert begun.wait(2)
        kill(pid)
        errors = [call.exception(timeout=20) for call in under_way]
    later: list[Callable[[], Any]] = [
        lambda: runner.start(busy),
        lambda: runner.send_callback_success(question, "yes"),
        runner.status,
    ]
    for call in later:
        with pytest.raises(CoordinatorUnavailable) as error:
            call()
        errors.append(error.value)
    for each in errors:
        assert isinstance(each, CoordinatorUnavailable), repr(each)
        assert "The coordinator was ended by SIGKILL" in str(each)
        assert "Open a new runner" in str(each)
    # Closing the runner and opening another is what the fixture does next.


def test_nothing_of_a_killed_coordinators_cluster_lives_on(begun: Begun) -> None:
    with DurableFunctionTestRunner(handler=begin_and, workers=2, **OWN) as runner:
        for deed in ("leave_a_child_and_hang", "sleep_in_c"):
            runner.start({"begun": begun.path, "do": deed})
        assert begun.wait(2)
        coordinator = runner.status().pid
        (host,) = runner.status().hosts
        processes = [Watched(pid) for pid in (coordinator, host.pid, *descendants(host.pid))]
        assert len(processes) >= 5
        kill(coordinator)
        assert all_gone(processes, 2.0)


# -- hosts and workers ---------------------------------------------------------------------


def test_executions_outlive_their_worker_host(begun: Begun) -> None:
    with DurableFunctionTestRunner(handler=work_in_steps, workers=4, **OWN) as runner:
        killed = []

        def kill_host() -> None:
            begun.wait(10)
            killed.append(runner.status().hosts[0].pid)
            kill(killed[0])

        killer = threading.Thread(target=kill_host)
        killer.start()
        results = runner.run_many([{"begun": begun.path}] * 20, timeout=30)
        killer.join()
        assert [result.result for result in results] == ["[0, 1, 2, 3, 4]"] * 20
        assert [host.pid for host in runner.status().hosts] != killed
    errors = [each.error for result in results for each in result.invocations if each.error]
    assert errors
    assert all("its worker host went away" in str(error.message) for error in errors)


def test_executions_outlive_all_their_workers_again_and_again(
    runner_for: RunnerFor, begun: Begun
) -> None:
    """All are killed after every so many steps, wherever each of them is."""
    runner = runner_for(work_in_steps, workers=4, invocation_retries=5)
    over = threading.Event()
    massacres = 0

    def massacre() -> None:
        nonlocal massacres
        while not over.is_set():
            if begun.wait(20, seconds=1):
                massacres += 1
                for worker in runner.status().workers:
                    if worker.pid:
                        kill(worker.pid)

    killer = threading.Thread(target=massacre)
    killer.start()
    try:
        results = runner.run_many([{"begun": begun.path}] * 50, timeout=30)
    finally:
        over.set()
        killer.join()
    assert [result.result for result in results] == ["[0, 1, 2, 3, 4]"] * 50
    assert massacres >= 10
    causes = {
        str(invocation.error.message).partition("Error: ")[2]
        for result in results
        for invocation in result.invocations
        if invocation.error is not None
    }
    assert causes == {"Runtime exited with error: signal: killed"}
    for result in results:
        assert [result.get_step(f"step-{n}").attempt for n in range(5)] == [1] * 5


def test_an_idle_worker_that_was_killed_is_not_missed(runner_for: RunnerFor) -> None:
    runner = runner_for(workers=1)
    for _ in range(5):
        result = runner.run({}, timeout=20)
        assert result.result == '"fine"'
        kill(result.invocations[-1].pid)


def test_a_frozen_worker_loses_its_invocation_to_another(runner_for: RunnerFor) -> None:
    runner = runner_for(workers=1, invocation_timeout=1)
    frozen = runner.run({}, timeout=20).invocations[-1].pid
    os.kill(frozen, signal.SIGSTOP)
    result = runner.run({}, timeout=20)
    assert result.result == '"fine"'
    lost, served = result.invocations
    assert lost.pid == frozen != served.pid
    assert lost.error is not None
    assert lost.error.type == "Sandbox.Timedout"


# -- the test process ----------------------------------------------------------------------

_TEST_PROCESS = """
import json, sys, time
sys.path.insert(0, {tests!r})
from bad_days.misdeeds import begin_and
from async_durable_execution_runner import DurableFunctionTestRunner
runners = [
    DurableFunctionTestRunner(handler=begin_and, workers=4),
    DurableFunctionTestRunner(handler=begin_and, workers=4, listen="127.0.0.1:0"),
    DurableFunctionTestRunner(handler=begin_and, workers=1, isolation="inline"),
]
for runner, deeds in zip(runners, {deeds!r}):
    runner.__enter__()
    for deed in deeds:
        runner.start({{"begun": {begun!r}, "do": deed}})
time.sleep(60)
"""


def test_nothing_is_left_of_a_test_that_is_killed_in_the_middle(begun: Begun) -> None:
    """Two clusters, with workers that hang in every way and children of theirs."""
    deeds = [
        ["sleep", "spin", "leave_a_child_and_hang", "ignore_every_signal"],
        ["sleep_in_c", "freeze", "swallow_everything", "leave_a_child_and_hang"],
        ["sleep"],
    ]
    tests = str(Path(__file__).parent.parent)
    program = _TEST_PROCESS.format(tests=tests, deeds=deeds, begun=begun.path)
    with subprocess.Popen([sys.executable, "-c", program]) as test_process:
        assert begun.wait(9)
        # Coordinator, host, forkserver, four workers; of each cluster. And two children, of whom
        # no message tells.
        found = descendants(test_process.pid)
        while len(found) < 2 * 7 + 2:
            found = descendants(test_process.pid)
        processes = [Watched(pid) for pid in found]
        test_process.kill()
        assert all_gone(processes, 2.0), json.dumps(found)


def test_a_well_behaved_execution_ends_well() -> None:
    """What all of the above is measured against."""
    with DurableFunctionTestRunner(handler=misbehave, workers=1) as runner:
        result = runner.run({"in_step": True}, timeout=20)
    assert result.status is InvocationStatus.SUCCEEDED
    assert [each.outcome for each in result.invocations] == ["SUCCEEDED"]
