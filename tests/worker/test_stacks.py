"""What is made of a worker's answers; how they are had from real ones is in `bad_days`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from async_durable_execution_runner.worker import stacks
from async_durable_execution_runner.worker.stacks import Frame, Stack

SLEEP = Frame("/shop/orders.py", 12, "pay")
HANDLER = Frame("/shop/orders.py", 30, "handler")
OTHER = Frame("/shop/orders.py", 14, "pay")
REQUESTS = Frame("/venv/lib/python3.11/site-packages/requests/api.py", 59, "request")
LIBRARY = Frame(threading.__file__, 629, "wait")
GRPC = Frame("src/python/grpcio/grpc/_cython/_cygrpc/aio/call.pyx.pxi", 0, "execute_batch")
RUNNER = Frame(stacks.__file__, 1, "snapshot")


def thread(*frames: Frame, name: str = "MainThread") -> Stack:
    return Stack(f"thread {name}", frames)


def answer(*taken: Stack, text: str = "") -> str:
    return f"{text}\x1e{json.dumps(taken)}\n"


def report(first: Sequence[Stack], second: Sequence[Stack], busy: float | None = None) -> Any:
    return stacks.report([answer(*first), answer(*second)], busy, "")


@pytest.mark.parametrize(
    ("busy", "how"), [(None, "stuck"), (0.01, "stuck, waiting"), (0.9, "stuck, computing")]
)
def test_the_same_frame_twice_is_stuck(busy: float | None, how: str) -> None:
    taken = [thread(LIBRARY, SLEEP, HANDLER, RUNNER), thread(GRPC, name="poller")]
    dump = (
        "thread MainThread:\n"
        '  File "/shop/orders.py", line 12, in pay\n'
        '  File "/shop/orders.py", line 30, in handler\n'
        "  inside: wait (threading.py:629)"
    )
    assert report(taken, taken, busy) == (
        (dump, dump),
        f"{how}: both times in pay (/shop/orders.py:12)",
    )


def test_different_frames_are_slow_and_the_one_that_moved_is_named() -> None:
    still = thread(HANDLER, name="other")
    result = report([still, thread(SLEEP)], [still, thread(OTHER)], 0.5)
    assert result.verdict == (
        "slow, computing: first in pay (/shop/orders.py:12), then in pay (/shop/orders.py:14)"
    )


def test_one_that_has_left_the_users_code_is_not_shown_the_runners() -> None:
    result = report([thread(SLEEP)], [thread(LIBRARY, RUNNER)])
    nothing = "none of the handler's code"
    assert result.verdict == f"slow: first in pay (/shop/orders.py:12), then in {nothing}"
    assert result.dumps[1] == nothing


def test_where_the_user_has_no_code_an_installed_package_may() -> None:
    taken = [thread(LIBRARY, REQUESTS, RUNNER)]
    assert report(taken, taken).verdict.startswith(f"stuck: both times in request ({REQUESTS.file}")
    with_own = [thread(LIBRARY, REQUESTS, SLEEP, RUNNER)]
    result = report(with_own, with_own)
    assert result.verdict == "stuck: both times in pay (/shop/orders.py:12)"
    inside = "  inside: request (requests/api.py:59) > wait (threading.py:629)"
    assert result.dumps[1].splitlines()[-1] == inside


def test_one_that_hangs_in_nobodys_code_is_shown_in_full() -> None:
    taken = [thread(LIBRARY, RUNNER), thread(GRPC, name="poller")]
    result = report(taken, taken)
    assert result.verdict.startswith(f"stuck: both times in wait ({threading.__file__}:629)")
    assert ", in snapshot" in result.dumps[1]
    assert ", in execute_batch" in result.dumps[1]


def test_fewer_than_two_allow_no_verdict() -> None:
    result = stacks.report([answer(thread(SLEEP))], None, "the worker ended meanwhile")
    assert result.verdict == "unknown: the worker ended meanwhile"
    assert len(result.dumps) == 1


FATAL = """Thread 0x00007f01 (most recent call first):
  File "/usr/x.py", line 3 in poll

Current thread 0x00007f02 (most recent call first):
  File "/shop/orders.py", line 12 in pay
  File "/shop/orders.py", line 30 in handler
"""


@pytest.mark.parametrize("rest", ["", '\x1e[["thread MainThr', "\x1e17\n", '\x1e["a"]\n'])
def test_what_comes_from_c_is_enough(rest: str) -> None:
    """Where the main thread comes to run no Python, or no more of it fits."""
    assert stacks.parse(FATAL + rest) == [
        Stack("thread 0x00007f02", [SLEEP, HANDLER]),
        Stack("thread 0x00007f01", [Frame("/usr/x.py", 3, "poll")]),
    ]


def test_what_comes_from_python_is_better() -> None:
    assert stacks.parse(answer(thread(OTHER), text=FATAL)) == [Stack("thread MainThread", [OTHER])]


def test_names_that_no_message_can_carry() -> None:
    taken = [thread(Frame("/caf\udce9.py", 1, "f"))]
    result = report(taken, taken)
    assert result.verdict == "stuck: both times in f (/caf\\udce9.py:1)"
    assert all(dump.encode() for dump in result.dumps)


def test_lines_of_source_are_shown() -> None:
    number = test_lines_of_source_are_shown.__code__.co_firstlineno
    taken = [thread(Frame(__file__, number, "f"))]
    result = report(taken, taken)
    line = "def test_lines_of_source_are_shown() -> None:"
    assert result.verdict == f"stuck: both times in f ({__file__}:{number}): {line}"
    assert result.dumps[0].splitlines()[-1] == f"    {line}"


def test_what_the_runner_does_below_the_users_code_is_not_shown() -> None:
    taken = [thread(LIBRARY, RUNNER, SLEEP)]
    assert "inside" not in report(taken, taken).dumps[0]


def test_a_package_that_is_installed_into_the_library_is_none_of_the_library() -> None:
    file = os.path.join(os.path.dirname(os.__file__), "site-packages", "shop", "api.py")
    taken = [thread(LIBRARY, Frame(file, 5, "ask"), RUNNER)]
    assert report(taken, taken).verdict == f"stuck: both times in ask ({file}:5)"


def test_very_many_are_cut() -> None:
    frames = [Frame("/shop/orders.py", number, "f") for number in range(50)]
    taken = [thread(*frames, name=f"t{number}") for number in range(50)]
    text = report(taken, taken).dumps[0]
    assert text.count("thread t") == 20
    assert text.count("  File ") == 20 * 20


async def test_a_snapshot_begins_with_the_main_thread_and_its_tasks() -> None:
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        done.wait(20)

    waiting = asyncio.create_task(asyncio.Event().wait(), name="waiting")
    await asyncio.sleep(0)
    other = threading.Thread(target=work, name="other")
    other.start()
    assert begun.wait(20)
    found = [stack.of for stack in stacks.snapshot()]
    (alone,) = stacks.snapshot(thread=other.ident)
    done.set()
    other.join()
    waiting.cancel()
    assert found[:2] == ["thread MainThread", "task waiting"]
    assert "thread other" in found[2:]
    assert alone.of == "thread other"


def test_a_snapshot_of_the_thread_that_was_interrupted() -> None:
    def deep(depth: int) -> list[Stack]:
        return deep(depth - 1) if depth else stacks.snapshot(sys._getframe())

    main = deep(200)[0]
    assert len(main.frames) == 100
    assert {frame.function for frame in main.frames} == {"deep"}


async def test_a_loops_tasks_are_in_the_snapshot_each_with_all_that_it_awaits() -> None:
    async def inner() -> None:
        await asyncio.Event().wait()

    async def outer() -> None:
        await asyncio.create_task(inner(), name="inner")

    async def beside() -> None:
        await asyncio.sleep(60)

    tasks = [asyncio.create_task(outer(), name="outer"), asyncio.create_task(beside(), name="b")]
    # All of them have come to their awaits.
    for _ in range(3):
        await asyncio.sleep(0)
    found = {stack.of: [frame.function for frame in stack.frames] for stack in stacks.snapshot()}
    for task in tasks:
        task.cancel()
    assert found["task outer"] == ["wait", "inner", "outer"]
    assert found["task b"] == ["sleep", "beside"]
    assert "task inner" not in found
