"""What is said of handlers that do not get on: where they hang, and whether they do."""

from __future__ import annotations

import inspect
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from async_durable_execution_runner import Invocation

from . import misdeeds
from .conftest import Begun, RunnerFor
from .misdeeds import MISDEEDS, begin_and
from .tree import is_gone

pytestmark = pytest.mark.processes


def hang(
    runner_for: RunnerFor, deed: str, seconds: float = 0.5, **event: Any
) -> tuple[Any, Invocation]:
    """The result and the one invocation of a handler that passes its deadline, in `seconds`."""
    runner = runner_for(workers=1, invocation_timeout=seconds, invocation_retries=0)
    # With the module loaded the deadline does not come before the deed.
    assert runner.run({}, timeout=20).result == '"fine"'
    result = runner.run({"do": deed, **event}, timeout=20)
    (invocation,) = result.invocations
    assert result.error is not None
    assert result.error.type == "Sandbox.Timedout"
    assert result.error.message == (
        f"RequestId: {invocation.request_id} Error: Task timed out after {seconds:.2f} seconds"
    )
    assert is_gone(invocation.pid)
    return result, invocation


def place(function: Callable[..., Any], line: str) -> str:
    """As a verdict has it: the last line of `function` that is `line`."""
    lines, start = inspect.getsourcelines(function)
    number = start + max(i for i, each in enumerate(lines) if each.strip() == line)
    return f"{function.__name__} ({misdeeds.__file__}:{number}): {line}"


@pytest.mark.parametrize("in_step", [False, True], ids=["handler", "step"])
@pytest.mark.parametrize(
    ("deed", "verdict", "line"),
    [
        ("sleep", "stuck, waiting", "time.sleep(60)"),
        ("wait_for_a_lock", "stuck, waiting", "lock.acquire()"),
        ("wait_for_an_event", "stuck, waiting", "threading.Event().wait()"),
        ("spin", "stuck, computing", "while True:"),
        ("lock_in_c", "stuck, waiting", "ctypes.PyDLL(None).pthread_mutex_lock(mutex)"),
        ("mask_every_signal", "stuck, waiting", "time.sleep(60)"),
    ],
)
def test_a_handler_that_is_stuck(
    runner_for: RunnerFor, deed: str, verdict: str, line: str, in_step: bool
) -> None:
    result, invocation = hang(runner_for, deed, in_step=in_step)
    where = place(MISDEEDS[deed], line)
    assert invocation.verdict == f"{verdict}: both times in {where}"
    for dump in invocation.stacks:
        of, frame, source, *_ = dump.splitlines()
        assert of.startswith("thread ")
        assert frame.startswith(f'  File "{misdeeds.__file__}", line ')
        assert frame.endswith(f", in {deed}")
        assert source == f"    {line}"
    assert len(invocation.stacks) == 2
    assert result.error.stack_trace == [
        f"about to do {deed}",
        invocation.verdict,
        *invocation.stacks[1].splitlines(),
    ]
    assert invocation.verdict in result.describe()
    assert source in result.describe()


def test_a_task_that_waits_in_vain(runner_for: RunnerFor) -> None:
    """Through a step, another task and an asynchronous generator."""
    _, invocation = hang(runner_for, "wait_in_vain", in_step=True)
    line = "await asyncio.Event().wait()"
    assert invocation.verdict == (f"stuck, waiting: both times in {place(misdeeds.numbers, line)}")
    first, second = invocation.stacks
    assert first == second
    of, *lines = second.splitlines()
    assert of.startswith("task ")
    assert [each.strip() for each in lines if not each.startswith("  File")] == [
        line,
        "async for _ in numbers():",
        "await asyncio.create_task(count())",
        "return await done if inspect.isawaitable(done) else done",
        'return await (step(work, name="work") if event.get("in_step") else work())',
        lines[-1].strip(),
    ]
    assert lines[-1].startswith("  inside: wait (asyncio/locks.py:")


def test_thousands_of_tasks_are_looked_at_in_time(runner_for: RunnerFor) -> None:
    """A look that takes as long as the pause would be what the second one finds."""
    # On a busy machine it takes a while until the last of them waits.
    _, invocation = hang(runner_for, "wait_in_a_crowd", seconds=3)
    where = place(misdeeds.stand_about, "await asyncio.Event().wait()")
    assert invocation.verdict == f"stuck, waiting: both times in {where}"


def test_a_handler_that_is_only_slow(runner_for: RunnerFor) -> None:
    _, invocation = hang(runner_for, "compute_on_and_on")
    assert invocation.verdict.startswith("slow, computing: first in <module> (<long>:")
    first, second = invocation.stacks
    assert first != second


def test_what_another_thread_does_is_shown_too(runner_for: RunnerFor) -> None:
    _, invocation = hang(runner_for, "wait_in_a_thread")
    line = "threading.Event().wait()"
    assert "    waiting.join()" in invocation.stacks[1].splitlines()
    assert f"    {line}" in invocation.stacks[1].splitlines()


def test_a_handler_that_goes_on_between_the_two(runner_for: RunnerFor) -> None:
    """Here because a signal ends a sleep in C; its result is too late all the same."""
    result, invocation = hang(runner_for, "sleep_in_c")
    where = place(MISDEEDS["sleep_in_c"], "ctypes.PyDLL(None).sleep(60)")
    assert invocation.verdict == (
        f"slow, waiting: first in {where}, then in none of the handler's code"
    )
    assert result.error.stack_trace[0] == "about to do sleep_in_c"


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("freeze", "the worker is stopped, by SIGSTOP or a debugger"),
        ("take_every_signal", "the handler took signal "),
    ],
)
def test_a_handler_of_which_nothing_can_be_known(
    runner_for: RunnerFor, deed: str, why: str
) -> None:
    result, invocation = hang(runner_for, deed)
    assert invocation.stacks == ()
    assert invocation.verdict.startswith(f"unknown: {why}")
    assert result.error.stack_trace == [f"about to do {deed}", invocation.verdict]


def test_a_worker_that_the_test_stops(runner_for: RunnerFor, begun: Begun) -> None:
    runner = runner_for(begin_and, workers=1, invocation_timeout=2, invocation_retries=0)
    handle = runner.start({"do": "sleep", "begun": begun.path})
    assert begun.wait()
    (worker,) = [each for each in runner.status().workers if each.request_id]
    os.kill(worker.pid, signal.SIGSTOP)
    (invocation,) = handle.result(timeout=20).invocations
    assert invocation.verdict == "unknown: the worker is stopped, by SIGSTOP or a debugger"
    assert is_gone(worker.pid)


@pytest.mark.parametrize("isolation", ["worker", "inline"])
def test_a_test_that_loses_patience_is_told_the_line(
    runner_for: RunnerFor, begun: Begun, isolation: str
) -> None:
    """The handler goes on as if nobody had looked."""
    runner = runner_for(begin_and, workers=1, isolation=isolation)
    handle = runner.start({"do": "nap", "begun": begun.path})
    assert begun.wait()
    with pytest.raises(TimeoutError) as late:
        handle.result(timeout=0.01)
    where = place(MISDEEDS["nap"], "time.sleep(1)")
    assert f"both times in {where}" in str(late.value).splitlines()[0]
    assert "           time.sleep(1)" in str(late.value).splitlines()
    (invocation,) = handle.result(timeout=20).invocations
    assert invocation.outcome == "SUCCEEDED"
    assert (invocation.verdict, invocation.stacks) == ("", ())


def test_an_inline_handler_past_its_deadline_is_in_the_way_of_the_next(
    runner_for: RunnerFor,
) -> None:
    runner = runner_for(workers=1, isolation="inline", invocation_timeout=0.1)
    where = re.escape(place(MISDEEDS["wait_for_the_test"], "released.wait(20)"))
    handle = runner.start({"do": "wait_for_the_test"})
    try:
        for wait in (handle.result, runner.wait_for_callback):
            with pytest.raises(TimeoutError, match=rf"a free inline worker.*; stuck: .*{where}"):
                wait(timeout=1)
    finally:
        misdeeds.released.set()


def test_a_plain_function_that_is_stuck(runner_for: RunnerFor, begun: Begun) -> None:
    runner = runner_for(misdeeds.call_plain, workers=1)
    runner.register_function("plain", misdeeds.begin_and_nap)
    handle = runner.start({"begun": begun.path})
    assert begun.wait()
    with pytest.raises(TimeoutError, match=r"a plain function on worker .*; stuck, waiting: .*nap"):
        handle.result(timeout=0.01)
    handle.result(timeout=20)
