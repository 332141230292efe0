"""A checkpoint costs the same, however many operations there are. Counted, not timed."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.model import OperationUpdate

from .machine import CALLBACK, CHAINED_INVOKE, CONTEXT, STEP, WAIT, Machine, invoked, start, succeed

FEW, MANY = 10, 5000

BATCHES: dict[str, Callable[[str], list[OperationUpdate]]] = {
    "steps": lambda id: [start(STEP, id), succeed(STEP, id, payload="1")],
    "steps left open": lambda id: [start(STEP, id)],
    "waits": lambda id: [start(WAIT, id, wait_seconds=3600)],
    "callbacks": lambda id: [
        start(CALLBACK, id, timeout_seconds=3600, heartbeat_timeout_seconds=60)
    ],
    "chained invokes": lambda id: [start(CHAINED_INVOKE, id)],
    "contexts": lambda id: [start(CONTEXT, id), succeed(CONTEXT, id)],
}


def grown(batch: Callable[[str], list[OperationUpdate]], count: int) -> Machine:
    machine = invoked()
    for n in range(count):
        machine.checkpoint(*batch(f"before-{n}"))
    return machine


def bytecodes(action: Callable[[], Any]) -> int:
    """How many instructions of Python `action` runs."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    # Python 3.12 counts nothing unless some frame wants it before tracing begins.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def peak_bytes(action: Callable[[], Any]) -> int:
    """The most memory that `action` held at once: a copy made in C would show here."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


batches = pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)


@batches
def test_a_checkpoint_runs_as_many_instructions(
    batch: Callable[[str], list[OperationUpdate]],
) -> None:
    def cost(count: int) -> int:
        machine = grown(batch, count)
        return bytecodes(lambda: machine.checkpoint(*batch("measured")))

    few = cost(FEW)
    assert few > 100
    assert cost(MANY) <= few * 1.03


@batches
def test_a_checkpoint_needs_as_little_memory(
    batch: Callable[[str], list[OperationUpdate]],
) -> None:
    """The least of a few, as lists and dicts grow by leaps now and then."""
    machine = grown(batch, MANY)
    least = min(
        peak_bytes(lambda n=n: machine.checkpoint(*batch(f"measured-{n}"))) for n in range(5)
    )
    assert least < MANY * 8 / 2


@batches
def test_a_reply_is_as_long(batch: Callable[[str], list[OperationUpdate]]) -> None:
    machine = grown(batch, MANY)
    assert len(machine.checkpoint(*batch("measured")).operations) == 1


@pytest.mark.parametrize("what", ["answer", "time", "failure"])
def test_other_events_cost_the_same_too(what: str) -> None:
    def cost(count: int) -> int:
        machine = grown(BATCHES["callbacks"], count)
        machine.checkpoint(start(WAIT, "wait", wait_seconds=1))
        id = machine.op("before-3").callback_id
        actions: dict[str, Callable[[], Any]] = {
            "answer": lambda: machine.send(ev.CallbackSucceeded, callback_id=id, result="1"),
            "time": lambda: machine.pass_time(1),
            "failure": machine.fails,
        }
        return bytecodes(actions[what])

    assert cost(MANY) <= cost(FEW) * 1.03
