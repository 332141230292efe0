"""Waits, steps and child contexts: send this, expect that."""

from __future__ import annotations

import pytest

from async_durable_execution_runner.core.commands import Invoke
from async_durable_execution_runner.core.model import OperationStatus
from async_durable_execution_runner.core.turn import Timer, TimerKind
from async_durable_execution_runner.errors import InvalidParameterValue

from .machine import (
    BOOM,
    CALLBACK,
    CONTEXT,
    STEP,
    T0,
    WAIT,
    cancel,
    fail,
    invoked,
    retry,
    start,
    succeed,
)

# -- waits -------------------------------------------------------------------------------


def test_a_wait_wakes_a_suspended_execution() -> None:
    machine = invoked(start(WAIT, wait_seconds=60, name="nap"))
    assert machine.op().scheduled_end_ms == T0 + 60_000
    assert machine.suspends() == []
    assert machine.pass_time(59.999) == []
    assert machine.execution.suspended
    assert machine.pass_time(0.001) == [Invoke()]

    delivered = machine.invoke().operations[1]
    assert delivered.status is OperationStatus.SUCCEEDED
    assert delivered.end_ms == T0 + 60_000
    started, succeeded = machine.execution.history[1], machine.last_event
    assert (started.name, started.duration_seconds) == ("nap", 60)
    assert started.scheduled_end_ms == T0 + 60_000
    assert (succeeded.type.value, succeeded.duration_seconds) == ("WaitSucceeded", 60)


def test_a_wait_that_is_due_completes_inside_a_checkpoint() -> None:
    machine = invoked(start(WAIT, wait_seconds=60))
    machine.now_ms += 60_000
    reply = machine.checkpoint()
    assert [op.status for op in reply.operations] == [OperationStatus.SUCCEEDED]


def test_a_wait_ends_at_its_time_however_late_the_clock_looks() -> None:
    machine = invoked(start(WAIT, wait_seconds=60))
    machine.pass_time(3600)
    assert machine.op().end_ms == T0 + 60_000


def test_a_cancelled_wait_never_fires() -> None:
    machine = invoked(start(WAIT, wait_seconds=60))
    machine.pass_time(10)
    machine.checkpoint(cancel())
    assert machine.op().status is OperationStatus.CANCELLED
    assert machine.op().end_ms == T0 + 10_000
    machine.pass_time(60)
    assert machine.events[-2:] == ["WaitStarted", "WaitCancelled"]


def test_what_is_due_fires_in_the_order_of_time() -> None:
    machine = invoked(
        start(WAIT, "late", wait_seconds=3),
        start(WAIT, "early", wait_seconds=1),
        start(WAIT, "middle", wait_seconds=2),
    )
    machine.pass_time(10)
    ended = [event.id for event in machine.execution.history if event.type.value == "WaitSucceeded"]
    assert ended == ["early", "middle", "late"]


def test_what_is_due_at_one_instant_fires_in_the_order_in_which_it_was_set() -> None:
    machine = invoked(
        start(WAIT, "first", wait_seconds=1),
        start(CALLBACK, "second", timeout_seconds=1),
        start(WAIT, "third", wait_seconds=1),
    )
    machine.pass_time(1)
    assert [event.id for event in machine.execution.history[-3:]] == ["first", "second", "third"]


def test_several_that_fall_due_ask_for_one_invocation() -> None:
    machine = invoked(*(start(WAIT, f"w{n}", wait_seconds=n) for n in range(1, 4)))
    machine.suspends()
    assert machine.pass_time(10) == [Invoke()]


def test_the_next_timer_skips_what_was_cancelled() -> None:
    machine = invoked(start(WAIT, "a", wait_seconds=1), start(WAIT, "b", wait_seconds=2))
    machine.checkpoint(cancel("a"))
    assert machine.execution.next_timer() == (Timer(TimerKind.WAIT, "b"), T0 + 2000)


# -- steps -------------------------------------------------------------------------------


def test_a_step_starts_and_succeeds() -> None:
    machine = invoked(start(STEP, name="charge"))
    machine.pass_time(2)
    machine.checkpoint(succeed(STEP, payload='"paid"'))
    step = machine.op()
    assert (step.status, step.result, step.attempt) == (OperationStatus.SUCCEEDED, '"paid"', 1)
    assert (step.start_ms, step.end_ms) == (T0, T0 + 2000)
    assert machine.events[-2:] == ["StepStarted", "StepSucceeded"]
    assert (machine.last_event.payload, machine.last_event.attempt) == ('"paid"', 1)


def test_a_step_is_retried_until_it_succeeds() -> None:
    machine = invoked(start(STEP))
    machine.checkpoint(retry(error=BOOM, next_attempt_delay_seconds=5))
    step = machine.op()
    assert (step.status, step.attempt, step.error) == (OperationStatus.PENDING, 1, BOOM)
    assert step.next_attempt_ms == T0 + 5000
    assert machine.suspends() == []

    assert machine.pass_time(5) == [Invoke()]
    assert machine.op().status is OperationStatus.READY
    machine.invoke()
    machine.checkpoint(start(STEP), succeed(STEP, payload="1"))

    step = machine.op()
    assert (step.status, step.attempt, step.result) == (OperationStatus.SUCCEEDED, 2, "1")
    assert (step.error, step.next_attempt_ms) == (None, None)
    assert machine.events == [
        "ExecutionStarted",
        "StepStarted",
        "StepFailed",
        "InvocationCompleted",
        "StepStarted",
        "StepSucceeded",
    ]
    failed = machine.execution.history[2]
    assert (failed.attempt, failed.next_attempt_delay_seconds, failed.error) == (1, 5, BOOM)


def test_a_step_is_retried_until_it_fails() -> None:
    machine = invoked(start(STEP), retry(error=BOOM))
    machine.pass_time(5)
    machine.checkpoint(start(STEP), fail(STEP, error=BOOM))
    step = machine.op()
    assert (step.status, step.attempt, step.error) == (OperationStatus.FAILED, 2, BOOM)
    assert machine.last_event.next_attempt_delay_seconds is None


def test_a_retry_with_payload_is_a_condition_not_yet_met() -> None:
    """Its payload survives the next START, an error-only RETRY too, and counts as no failure."""
    machine = invoked(start(STEP), retry(payload='"1 of 3"'))
    assert machine.events[-1] == "StepSucceeded"
    machine.pass_time(5)
    machine.checkpoint(start(STEP))
    assert (machine.op().result, machine.op().error) == ('"1 of 3"', None)
    machine.checkpoint(retry(error=BOOM))
    assert (machine.op().result, machine.op().error) == ('"1 of 3"', BOOM)
    machine.pass_time(5)
    machine.checkpoint(start(STEP), retry(payload='"2 of 3"'))
    assert (machine.op().result, machine.op().error) == ('"2 of 3"', None)
    machine.pass_time(5)
    machine.checkpoint(succeed(STEP, payload='"3 of 3"'))
    assert (machine.op().result, machine.op().attempt) == ('"3 of 3"', 4)


def test_a_retry_without_an_error_is_no_failure_whether_or_not_it_carries_state() -> None:
    machine = invoked(start(STEP), retry())
    assert machine.events[-1] == "StepSucceeded"


def test_a_step_that_fails_has_no_result_left_from_its_retries() -> None:
    machine = invoked(start(STEP), retry(payload='"1 of 3"'))
    machine.pass_time(5)
    machine.checkpoint(fail(STEP, error=BOOM))
    assert (machine.op().result, machine.op().error) == (None, BOOM)


def test_an_invocation_that_dies_in_a_step_leaves_it_started() -> None:
    """No StepFailed, no retry used: the next invocation re-enters the step."""
    machine = invoked(start(STEP))
    machine.fails()
    machine.pass_time(1)
    delivered = machine.invoke().operations[1]
    assert (delivered.status, delivered.attempt) == (OperationStatus.STARTED, 0)
    assert "StepFailed" not in machine.events
    machine.checkpoint(succeed(STEP))
    assert machine.op().attempt == 1


# -- child contexts ----------------------------------------------------------------------


def test_a_child_context_closes_with_a_result() -> None:
    machine = invoked(start(CONTEXT, name="two", sub_type="RunInChildContext"))
    machine.checkpoint(start(STEP, "inner", parent_id="op"), succeed(STEP, "inner", payload="3"))
    machine.checkpoint(succeed(CONTEXT, payload='"3"'))
    context = machine.op()
    assert (context.status, context.result) == (OperationStatus.SUCCEEDED, '"3"')
    assert not context.replay_children
    assert machine.op("inner").parent_id == "op"
    assert machine.events[1:] == [
        "ContextStarted",
        "StepStarted",
        "StepSucceeded",
        "ContextSucceeded",
    ]
    assert machine.last_event.sub_type == "RunInChildContext"


def test_a_child_context_closes_with_an_error() -> None:
    machine = invoked(start(CONTEXT), fail(CONTEXT, error=BOOM))
    assert (machine.op().status, machine.op().error) == (OperationStatus.FAILED, BOOM)
    assert (machine.last_event.type.value, machine.last_event.error) == ("ContextFailed", BOOM)


def test_a_large_result_is_replayed_from_its_children() -> None:
    machine = invoked(start(CONTEXT), succeed(CONTEXT, payload="", replay_children=True))
    assert machine.op().replay_children
    assert machine.op().result == ""


def test_contexts_nest() -> None:
    machine = invoked(
        start(CONTEXT, "a"), start(CONTEXT, "b", parent_id="a"), start(STEP, "c", parent_id="b")
    )
    assert [machine.op(id).parent_id for id in "abc"] == [None, "a", "b"]


def test_a_finished_context_takes_no_second_end() -> None:
    machine = invoked(start(CONTEXT), succeed(CONTEXT))
    with pytest.raises(InvalidParameterValue, match=r"^Invalid current CONTEXT state to close.$"):
        machine.checkpoint(fail(CONTEXT))
