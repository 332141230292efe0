"""What `ledger.record` says where it cannot record: values, processes, ends."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from async_durable_execution import durable_execution

from async_durable_execution_runner import (
    CoordinatorUnavailable,
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
    Effect,
    ledger,
)

pytestmark = pytest.mark.processes


def run(handler: Any) -> DurableFunctionTestResult:
    with DurableFunctionTestRunner(handler=handler, workers=1) as runner:
        return runner.run(timeout=30)


@durable_execution
async def record(event: Any) -> list[str]:
    said = []
    attempts: list[Callable[[], None]] = [
        lambda: ledger.record("a", amount={1}),
        lambda: ledger.record("b", key=object()),
        lambda: ledger.record("c", amount=float("nan")),
        lambda: ledger.record("d", text="x" * 300_000),
        lambda: ledger.record(None),  # type: ignore[arg-type]
        lambda: ledger.record(""),
        lambda: ledger.record("\udc80", name="\udc80", key=[1, {"a": None}]),
    ]
    for attempt in attempts:
        try:
            attempt()
            said.append("")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return said


def test_what_is_no_json_is_refused_by_name() -> None:
    result = run(record)
    a, b, c, large, no_name, empty, odd = json.loads(result.result)
    assert a.startswith(
        "TypeError: The effect 'a' cannot be recorded: its 'amount', {1}, is not a JSON value"
    )
    assert b.startswith("TypeError: The effect 'b' cannot be recorded: its 'key', <object")
    assert c.startswith("TypeError: The effect 'c' cannot be recorded: its 'amount', nan,")
    assert large.startswith("ValueError: The effect 'd' was not recorded: as JSON it has 300")
    assert "262144 is the most. Record an id, a length or a digest instead." in large
    assert no_name == "TypeError: An effect's name must be a string, not None."
    assert empty == (
        "InvalidParameterValue: The effect '' was not recorded: An effect needs a name."
    )
    assert odd == ""
    (effect,) = result.ledger
    assert (effect.name, effect.key) == ("\\udc80", [1, {"a": None}])
    assert effect.data == {"name": "\udc80"}
    assert isinstance(effect, Effect)
    assert result.describe()


@durable_execution
async def record_in_a_fork(event: Any) -> str:
    ledger.record("before")
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            ledger.record("in the fork")
        except RuntimeError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.wait()  # noqa: ASYNC222 - a moment
    return os.read(read, 1000).decode()


def test_a_fork_of_the_handler_says_that_it_cannot() -> None:
    result = run(record_in_a_fork)
    assert "'in the fork' was not recorded: this process was forked" in result.result
    assert [each.name for each in result.ledger] == ["before"]


class Said:
    """What `record` raises in a handler that goes on after its test."""

    def __init__(self) -> None:
        self._text = ""
        self._there = threading.Event()

    def record(self, name: str) -> None:
        try:
            ledger.record(name)
        except Exception as error:
            self._text = f"{type(error).__name__}: {error}"
        self._there.set()

    def text(self) -> str:
        assert self._there.wait(20)
        return self._text


def test_a_coordinator_that_is_gone_is_one_clear_error() -> None:
    said = Said()

    @durable_execution
    async def handler(coordinator: int) -> None:
        ledger.record("before")
        os.kill(coordinator, signal.SIGKILL)
        said.record("after")

    with DurableFunctionTestRunner(
        handler=handler, isolation="inline", listen="127.0.0.1:0"
    ) as runner:
        with pytest.raises(CoordinatorUnavailable):
            runner.run(runner.status().pid)
        assert said.text().startswith(
            "CoordinatorUnavailable: The effect 'after' was not recorded: "
            "the runner's coordinator is gone ("
        )


def test_a_handler_that_outlives_its_runner_is_told_so() -> None:
    inside, closed, said = threading.Event(), threading.Event(), Said()

    @durable_execution
    async def handler(event: Any) -> None:
        ledger.record("before")
        inside.set()
        closed.wait(20)
        said.record("after")

    with DurableFunctionTestRunner(handler=handler, isolation="inline") as runner:
        runner.start()
        assert inside.wait(20)
    closed.set()
    assert said.text().startswith(
        "ResourceNotFound: The effect 'after' was not recorded: Invocation not found"
    )


def test_outside_a_runner_nothing_happens() -> None:
    """Not even a value that is not JSON is refused, and the earlier recording is over."""
    said: list[tuple[str, object, dict[str, object]]] = []
    with ledger.recording(lambda *effect: said.append(effect), inline=True):
        ledger.record("charge", key=1, amount=7)
    ledger.record("charge", key=object(), amount={1})
    assert said == [("charge", 1, {"amount": 7})]
