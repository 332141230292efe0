"""Handlers that take their process along, hang, or leave things running."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestResult, InvocationStatus
from async_durable_execution_runner.runner import suite

from .conftest import RunnerFor
from .misdeeds import misbehave, recover
from .tree import is_gone

pytestmark = pytest.mark.processes

EXITED = "Runtime exited with error: "


def failure(result: DurableFunctionTestResult) -> Any:
    """The error of an execution that must have failed, after one retry."""
    assert result.status is InvocationStatus.FAILED
    assert [each.outcome for each in result.invocations] == ["ERROR", "ERROR"]
    assert result.error is not None
    return result.error


def test_a_breakpoint_says_what_to_use(
    runner_for: RunnerFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can debug."""
    monkeypatch.setattr(suite, "debugger", None)
    result = runner_for().run({"do": "stop_at_a_breakpoint"}, timeout=20)

    assert result.status is InvocationStatus.FAILED
    assert result.error is not None
    assert "isolation='inline'" in str(result.error.message)


@pytest.mark.parametrize(
    ("deed", "cause", "last_words"),
    [
        ("exit_7", EXITED + "exit status 7", "about to do"),
        ("exit_0", "Runtime exited without providing a reason", "about to do"),
        ("sys_exit_3", EXITED + "exit status 3", "about to do"),
        ("sys_exit", "Runtime exited without providing a reason", "about to do"),
        ("sys_exit_with_text", EXITED + "exit status 1", "the end is near"),
        ("raise_system_exit", EXITED + "exit status 1", "about to do"),
        ("raise_keyboard_interrupt", EXITED + "exit status 1", "KeyboardInterrupt"),
        ("interrupt_itself", EXITED + "exit status 1", "KeyboardInterrupt"),
        ("segfault", EXITED + "signal: segmentation fault", "Fatal Python error: Segmentation"),
        ("abort", EXITED + "signal: aborted", "Fatal Python error: Aborted"),
        ("kill_itself", EXITED + "signal: killed", "about to do"),
        ("terminate_itself", EXITED + "signal: terminated", "about to do"),
        ("exit_in_a_thread", EXITED + "exit status 9", "about to do"),
        ("hang_at_exit", EXITED + "exit status 4", "about to do"),
    ],
)
@pytest.mark.parametrize("in_step", [False, True], ids=["handler", "step"])
def test_a_handler_that_ends_its_process(
    runner_for: RunnerFor, deed: str, cause: str, last_words: str, in_step: bool
) -> None:
    runner = runner_for(workers=3)
    bad, *others = runner.run_many([{"do": deed, "in_step": in_step}, {}, {}, {}], timeout=20)

    error = failure(bad)
    assert error.type == "Runtime.ExitError"
    assert error.message == f"RequestId: {bad.invocations[-1].request_id} Error: {cause}"
    assert any(last_words in line for line in error.stack_trace), error.stack_trace
    assert cause in bad.describe()
    if last_words.startswith("Fatal"):
        assert f" in {deed}" in bad.describe()
    assert len({each.pid for each in bad.invocations}) == 2
    for other in others:
        assert other.result == '"fine"'
        assert len(other.invocations) == 1


@pytest.mark.parametrize(
    "deed",
    [
        "sleep",
        "spin",
        "wait_for_a_lock",
        "sleep_in_c",
        "freeze",
        "ignore_every_signal",
        "swallow_everything",
    ],
)
def test_a_handler_that_hangs(runner_for: RunnerFor, deed: str) -> None:
    runner = runner_for(workers=3, invocation_retries=0)
    runner.register_durable_function("hurried", misbehave, invocation_timeout=0.5)
    hanging = runner.start({"do": deed}, function_name="hurried")
    # These have the time that they need, whatever else this machine is doing.
    others = runner.run_many([{}, {}, {}], timeout=20)
    bad = hanging.result(timeout=20)

    (invocation,) = bad.invocations
    assert bad.error is not None
    assert bad.error.type == "Sandbox.Timedout"
    assert bad.error.message == (
        f"RequestId: {invocation.request_id} Error: Task timed out after 0.50 seconds"
    )
    assert bad.error.stack_trace[0] == f"about to do {deed}"
    assert [other.result for other in others] == ['"fine"'] * 3
    assert is_gone(invocation.pid)


def test_a_handler_that_takes_the_connection_from_its_worker(runner_for: RunnerFor) -> None:
    runner = runner_for(invocation_timeout=5)
    error = failure(runner.run({"do": "close_all_descriptors"}, timeout=20))
    assert error.type in ("Runtime.ExitError", "Sandbox.Timedout")


def test_a_handler_that_eats_memory_past_its_limit(runner_for: RunnerFor) -> None:
    runner = runner_for(memory=256)
    bad, *others = runner.run_many([{"do": "eat_memory"}, {}, {}], timeout=20)
    error = failure(bad)
    assert error.type == "Runtime.OutOfMemory"
    used = re.search(r"signal: killed: out of memory \((\d+) MiB used\)$", error.message)
    assert used is not None
    assert int(used[1]) >= 256
    assert re.match(r"ate \d+ MiB", error.stack_trace[-1])
    assert [other.result for other in others] == ['"fine"'] * 2


def test_a_deed_done_once_is_recovered_from(runner_for: RunnerFor, tmp_path: Any) -> None:
    runner = runner_for(handler=recover, invocation_retries=2)
    result = runner.run(str(tmp_path / "mark"), timeout=20)
    assert result.result == '"recovered"'
    assert [each.outcome for each in result.invocations] == ["ERROR", "SUCCEEDED"]
    assert result.get_step("before").attempt == 1


def test_without_a_limit_it_is_tried_again_until_its_time_is_up(runner_for: RunnerFor) -> None:
    """As Lambda does it: after 1, 2, 4, ... seconds, and then every five minutes."""
    runner = runner_for(invocation_retries=None, execution_timeout=3600)
    result = runner.run({"do": "exit_7"}, timeout=60)
    assert result.status is InvocationStatus.TIMED_OUT
    starts = [each.start for each in result.invocations]
    pauses = [(b - a).total_seconds() for a, b in pairwise(starts)]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, *[300] * 10], abs=5)


# -- leftovers -----------------------------------------------------------------------------


def test_a_thread_that_a_handler_leaves_holds_up_nothing(runner_for: RunnerFor) -> None:
    runner = runner_for(isolation="invocation")
    result = runner.run({"do": "leave_a_thread"}, timeout=20)
    assert result.result == '"left a thread"'


@pytest.mark.parametrize(
    "deed", ["leave_a_child", "leave_a_forked_child", "leave_a_multiprocessing_child"]
)
def test_a_child_that_a_handler_leaves_goes_with_its_worker(
    runner_for: RunnerFor, deed: str
) -> None:
    runner = runner_for(isolation="execution")
    result = runner.run({"do": deed}, timeout=20)
    assert result.status is InvocationStatus.SUCCEEDED
    assert is_gone(int(result.result or ""))


def test_a_child_that_a_dying_handler_leaves_goes_too(runner_for: RunnerFor) -> None:
    error = failure(runner_for().run({"do": "leave_a_child_and_die"}, timeout=20))
    assert is_gone(int(error.stack_trace[-1].split()[1]))
