"""The record: an event per change, ids without gaps, and state that can be rebuilt from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.events import Outcome
from async_durable_execution_runner.core.model import EventType, OperationStatus

from .machine import (
    BOOM,
    CALLBACK,
    CHAINED_INVOKE,
    CONTEXT,
    STEP,
    WAIT,
    Machine,
    cancel,
    fail,
    invoked,
    retry,
    start,
    succeed,
)
from .replay import rebuild


def eventful() -> Machine:
    """Ends after every type of operation came to every end that it can come to."""
    machine = invoked(
        start(CONTEXT, "ctx", name="batch", sub_type="Map"),
        start(STEP, "ok", name="charge", parent_id="ctx"),
        succeed(STEP, "ok", payload='"paid"'),
        start(STEP, "bad"),
        fail(STEP, "bad", error=BOOM),
        start(STEP, "again"),
        retry("again", error=BOOM, next_attempt_delay_seconds=2),
        retry("condition", payload='"not yet"', next_attempt_delay_seconds=1),
        start(WAIT, "nap", wait_seconds=3),
        start(WAIT, "dropped", wait_seconds=30),
        *(start(CALLBACK, f"call-{n}") for n in range(2)),
        start(CALLBACK, "call-2", timeout_seconds=4),
        start(CALLBACK, "call-3", heartbeat_timeout_seconds=4),
        *(start(CHAINED_INVOKE, f"fn-{n}") for n in range(4)),
    )
    machine.fails()
    machine.pass_time(1)
    machine.invoke()
    machine.send(ev.CallbackSucceeded, callback_id=machine.op("call-0").callback_id, result="1")
    machine.send(ev.CallbackFailed, callback_id=machine.op("call-1").callback_id, error=BOOM)
    machine.suspends()
    ends = [
        OperationStatus.SUCCEEDED,
        OperationStatus.FAILED,
        OperationStatus.TIMED_OUT,
        OperationStatus.STOPPED,
    ]
    for n, status in enumerate(ends):
        result, error = ("1", None) if n == 0 else (None, BOOM)
        machine.send(
            ev.ChainedInvokeEnded, operation_id=f"fn-{n}", status=status, result=result, error=error
        )
    machine.pass_time(4)
    machine.invoke()
    machine.checkpoint(
        cancel("dropped"),
        start(STEP, "again"),
        succeed(STEP, "again", payload="2"),
        fail(STEP, "condition", error=BOOM),
        succeed(CONTEXT, "ctx", payload="[]"),
        fail(CONTEXT, "other", error=BOOM),
        start(STEP, "unfinished"),
    )
    machine.now_ms += 10
    machine.returns(Outcome.SUCCEEDED, result='"done"')
    return machine


def test_ids_have_no_gaps_and_time_never_runs_backwards() -> None:
    history = eventful().execution.history
    assert [event.event_id for event in history] == list(range(1, len(history) + 1))
    times = [event.timestamp_ms for event in history]
    assert times == sorted(times)


def test_a_timer_that_was_looked_at_late_leaves_time_in_order() -> None:
    machine = invoked(start(WAIT, wait_seconds=1))
    machine.now_ms += 2000
    machine.execution.handle(ev.Checkpoint(machine.now_ms, machine.token, (start(STEP, "late"),)))
    machine.pass_time(0)
    times = [event.timestamp_ms for event in machine.execution.history]
    assert times == sorted(times)


def test_state_rebuilt_from_history_is_the_state() -> None:
    execution = eventful().execution
    state = {id: replace(op, replay_children=False) for id, op in execution.operations.items()}
    assert rebuild(execution.history) == state


def test_every_type_of_event_is_written_by_some_change() -> None:
    failed, stopped, timed_out = invoked(), invoked(), invoked(timeout_seconds=10)
    failed.returns(Outcome.FAILED, error=BOOM)
    stopped.send(ev.Stopped, error=BOOM)
    timed_out.pass_time(10)
    machines = [eventful(), failed, stopped, timed_out]
    written = {event.type for machine in machines for event in machine.execution.history}
    assert set(EventType) == written


@pytest.mark.parametrize(
    ("before", "update"),
    [
        (start(STEP), succeed(STEP)),
        (start(STEP), fail(STEP)),
        (start(STEP), retry()),
        (start(CONTEXT), succeed(CONTEXT)),
        (start(CONTEXT), fail(CONTEXT)),
        (start(WAIT), cancel()),
        *(
            (start(STEP, "other"), start(type))
            for type in (STEP, CONTEXT, WAIT, CALLBACK, CHAINED_INVOKE)
        ),
        (start(STEP, "other"), succeed(STEP)),
        (start(STEP, "other"), succeed(CONTEXT)),
    ],
    ids=lambda update: f"{update.type.value}-{update.action.value}",
)
def test_a_change_is_one_event(before: object, update: object) -> None:
    """But for a step that becomes READY: the service has no event for that."""
    machine = invoked(before)
    count = len(machine.execution.history)
    machine.checkpoint(update)
    assert len(machine.execution.history) == count + 1


def test_an_event_has_what_identifies_its_operation() -> None:
    machine = invoked(
        start(CONTEXT, "c"), start(STEP, name="charge", sub_type="Step", parent_id="c")
    )
    event = machine.last_event
    assert (event.id, event.name, event.sub_type, event.parent_id) == (
        "op",
        "charge",
        "Step",
        "c",
    )


def test_every_invocation_is_completed_once_with_its_error() -> None:
    completed = [
        (event.request_id, event.error)
        for event in eventful().execution.history
        if event.type is EventType.INVOCATION_COMPLETED
    ]
    assert completed == [("request-1", BOOM), ("request-2", None), ("request-3", None)]


def test_history_is_only_ever_appended_to() -> None:
    machine = invoked(start(STEP))
    before = list(machine.execution.history)
    machine.checkpoint(retry(error=BOOM))
    machine.fails()
    assert machine.execution.history[: len(before)] == before
