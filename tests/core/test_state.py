"""What a worker is told of the state: only what it has not seen, and in pages."""

from __future__ import annotations

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.limits import Limits
from async_durable_execution_runner.core.model import ErrorObject
from async_durable_execution_runner.errors import InvalidCheckpointToken, InvalidParameterValue

from .machine import (
    CALLBACK,
    CHAINED_INVOKE,
    CONTEXT,
    ROOT,
    STEP,
    WAIT,
    Machine,
    fail,
    invoked,
    retry,
    start,
    succeed,
)

MIB = 1024 * 1024
LARGE = Limits(step_output=6 * MIB)


def told(machine: Machine, *updates: object) -> list[str]:
    return [operation.id for operation in machine.checkpoint(*updates).operations]


# -- deltas ------------------------------------------------------------------------------


def test_a_reply_carries_what_the_batch_changed_and_no_more() -> None:
    machine = invoked(start(STEP, "a"))
    assert told(machine, start(STEP, "b"), start(WAIT, "c")) == ["b", "c"]
    assert told(machine, start(CONTEXT, "d"), succeed(CONTEXT, "d"), succeed(STEP, "a")) == [
        "d",
        "a",
    ]
    assert told(machine) == []


def test_a_reply_carries_what_happened_meanwhile_once() -> None:
    machine = invoked(
        start(WAIT, "wait", wait_seconds=1), start(CALLBACK, "call"), start(CHAINED_INVOKE, "fn")
    )
    machine.pass_time(1)
    machine.send(ev.CallbackSucceeded, callback_id=machine.op("call").callback_id)
    assert told(machine, start(STEP)) == ["wait", "call", "op"]
    assert told(machine) == []
    assert machine.seen == machine.execution.operations


def test_a_heartbeat_is_nothing_to_tell() -> None:
    machine = invoked(start(CALLBACK, heartbeat_timeout_seconds=5))
    machine.send(ev.CallbackHeartbeat, callback_id=machine.op().callback_id)
    assert told(machine) == []


def test_what_a_new_invocation_was_delivered_is_not_told_again() -> None:
    machine = invoked(start(STEP), start(WAIT, "wait", wait_seconds=1))
    machine.suspends()
    machine.pass_time(1)
    machine.invoke()
    assert told(machine) == []


def test_an_invocation_is_delivered_the_ids_of_what_changed_since_the_last_was_told() -> None:
    machine = Machine()
    assert machine.invoke().updated == []
    machine.checkpoint(
        start(STEP, "done"),
        succeed(STEP, "done"),
        start(STEP, "again"),
        retry("again", next_attempt_delay_seconds=1),
        start(WAIT, "short", wait_seconds=2),
        start(WAIT, "long", wait_seconds=100),
    )
    machine.suspends()
    machine.pass_time(3)
    assert machine.invoke().updated == ["again", "short"]
    machine.pass_time(100)
    machine.checkpoint()
    machine.fails()
    machine.pass_time(10)
    assert machine.invoke().updated == []


def test_a_refused_checkpoint_keeps_the_news_for_the_next() -> None:
    machine = invoked(start(WAIT, "wait", wait_seconds=1))
    machine.pass_time(1)
    with pytest.raises(InvalidParameterValue):
        machine.checkpoint(start(WAIT, wait_seconds=0))
    assert told(machine) == ["wait"]


# -- pages -------------------------------------------------------------------------------


def with_steps(count: int, **fields: str) -> Machine:
    machine = invoked(limits=LARGE)
    for n in range(count):
        machine.checkpoint(succeed(STEP, f"s{n}", **fields))
    return machine


def read_all(machine: Machine, max_items: int = 0) -> list[list[str]]:
    pages, marker = [], "0"
    while marker:
        operations, marker = machine.execution.read_state(machine.token, marker, max_items)
        pages.append([operation.id for operation in operations])
    return pages


def test_state_is_read_in_pages_in_the_order_of_creation() -> None:
    machine = with_steps(4)
    assert read_all(machine, 2) == [[ROOT, "s0"], ["s1", "s2"], ["s3"]]
    assert read_all(machine, 5) == read_all(machine) == [[ROOT, "s0", "s1", "s2", "s3"]]


def test_a_page_has_1000_operations_at_most() -> None:
    machine = with_steps(1000)
    assert [len(page) for page in read_all(machine)] == [1000, 1]
    assert [len(page) for page in read_all(machine, 5000)] == [1000, 1]


def test_an_invocation_is_delivered_one_page_and_where_the_next_begins() -> None:
    machine = with_steps(1500)
    machine.fails()
    machine.pass_time(1)
    delivered = machine.invoke()
    assert len(delivered.operations) == 1000
    operations, marker = machine.execution.read_state(machine.token, delivered.next_marker, 0)
    machine.seen |= {operation.id: operation for operation in operations}
    assert marker == ""
    assert machine.seen == machine.execution.operations


@pytest.mark.parametrize(
    "fields",
    [{"payload": "x" * (MIB - 1024)}, {"payload": "€" * (MIB // 3)}],
    ids=["ASCII", "beyond ASCII"],
)
def test_a_page_has_a_requests_bytes_at_most(fields: dict[str, str]) -> None:
    machine = with_steps(12, **fields)
    pages = read_all(machine)
    assert [len(page) for page in pages] == [6, 5, 2]
    assert [id for page in pages for id in page] == list(machine.execution.operations)


def test_inputs_count_too() -> None:
    machine = Machine(payload="x" * 5 * MIB, limits=LARGE)
    machine.invoke()
    machine.checkpoint(succeed(STEP, payload="x" * MIB))
    assert read_all(machine) == [[ROOT], ["op"]]


def test_errors_count_too() -> None:
    machine = invoked()
    for n in range(300):
        machine.checkpoint(fail(STEP, f"s{n}", error=ErrorObject("x" * 32 * 1024)))
    assert all(len(page) * 32 * 1024 < 6 * MIB for page in read_all(machine))


def test_an_operation_over_a_pages_bytes_has_one_for_itself() -> None:
    machine = with_steps(2, payload="x" * 6 * MIB)
    assert read_all(machine) == [[ROOT], ["s0"], ["s1"]]


def test_what_changes_between_pages_is_told_by_the_next_checkpoint() -> None:
    machine = with_steps(3)
    machine.checkpoint(start(WAIT, "wait", wait_seconds=5))
    machine.execution.read_state(machine.token, "0", 2)
    machine.pass_time(5)
    machine.execution.read_state(machine.token, "2", 5)
    assert told(machine) == ["wait"]


@pytest.mark.parametrize("marker", ["", "-1", "x", "6", "²", "٣", "9" * 5000, " 1", "1.0"])
def test_markers_that_are_none(marker: str) -> None:
    machine = with_steps(4)
    with pytest.raises(InvalidParameterValue, match=r"^Invalid marker\.$"):
        machine.execution.read_state(machine.token, marker, 0)


def test_a_negative_page_size_is_refused() -> None:
    machine = with_steps(4)
    with pytest.raises(InvalidParameterValue, match="MaxItems"):
        machine.execution.read_state(machine.token, "0", -1)


def test_reading_needs_the_newest_token_and_leaves_it_good() -> None:
    machine = invoked()
    stale = machine.token
    machine.checkpoint(start(STEP))
    with pytest.raises(InvalidCheckpointToken):
        machine.execution.read_state(stale, "0", 0)
    read_all(machine)
    machine.checkpoint(succeed(STEP))
