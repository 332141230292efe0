"""One execution, many invocations: how they begin and end, fail and are tried again."""

from __future__ import annotations

import pytest

from async_durable_execution_runner.core import events as ev
from async_durable_execution_runner.core.commands import Deliver, Finish, Invoke
from async_durable_execution_runner.core.events import Outcome
from async_durable_execution_runner.core.limits import Limits
from async_durable_execution_runner.core.model import (
    ErrorObject,
    ExecutionStatus,
    OperationStatus,
    OperationUpdate,
)
from async_durable_execution_runner.errors import InvalidCheckpointToken, InvalidParameterValue

from .machine import (
    BOOM,
    CALLBACK,
    CHAINED_INVOKE,
    EXECUTION,
    ROOT,
    STEP,
    T0,
    WAIT,
    Machine,
    fail,
    invoked,
    retry,
    start,
    succeed,
)

# -- from the start to the end -----------------------------------------------------------


def test_an_execution_begins_with_an_invocation_asked_for() -> None:
    machine = Machine(payload='{"n": 1}')
    assert machine.commands == [Invoke()]
    assert not machine.execution.suspended
    (event,) = machine.execution.history
    assert (event.type.value, event.payload) == ("ExecutionStarted", '{"n": 1}')
    assert (event.timestamp_ms, event.duration_seconds) == (T0, 100_000_000)


def test_the_handler_is_given_its_input() -> None:
    (root,) = Machine(payload='{"n": 1}').invoke().operations
    assert (root.id, root.type, root.input) == (ROOT, EXECUTION, '{"n": 1}')
    assert root.name == "o-1"


def test_a_result_ends_it() -> None:
    machine = invoked()
    machine.now_ms += 1000
    assert machine.returns(Outcome.SUCCEEDED, result="1") == [Finish(ExecutionStatus.SUCCEEDED)]
    root = machine.execution.root
    assert (root.status, root.result, root.end_ms) == (OperationStatus.SUCCEEDED, "1", T0 + 1000)
    assert machine.events == ["ExecutionStarted", "InvocationCompleted", "ExecutionSucceeded"]
    assert machine.last_event.payload == "1"


def test_an_error_of_the_handler_ends_it() -> None:
    machine = invoked()
    assert machine.returns(Outcome.FAILED, error=BOOM) == [Finish(ExecutionStatus.FAILED)]
    assert machine.execution.root.error == BOOM
    assert machine.events == ["ExecutionStarted", "InvocationCompleted", "ExecutionFailed"]
    assert machine.last_event.error == BOOM
    assert machine.execution.history[1].error is None


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (succeed(EXECUTION, "made-up", payload="1"), ExecutionStatus.SUCCEEDED),
        (fail(EXECUTION, "made-up", error=BOOM), ExecutionStatus.FAILED),
    ],
    ids=["SUCCEED", "FAIL"],
)
def test_a_checkpoint_of_the_execution_ends_it_with_the_invocation(
    end: object, status: ExecutionStatus
) -> None:
    """The invocation's own result, which comes later, says nothing any more."""
    machine = invoked(start(WAIT, "wait"))
    token = machine.token
    assert machine.execution.holds(token)
    reply = machine.checkpoint(start(STEP), end)
    assert reply.token is None
    assert not machine.execution.holds(token)
    assert machine.commands == [reply]
    assert machine.execution.closing
    assert machine.pass_time(100) == []
    assert machine.returns(Outcome.SUCCEEDED, result="") == [Finish(status)]
    assert machine.execution.status is status
    root = machine.execution.root
    assert (root.result, root.error) == (("1", None) if root.result else (None, BOOM))
    assert machine.events[-2:] == ["InvocationCompleted", f"Execution{status.value.capitalize()}"]
    assert "made-up" not in machine.execution.operations


def test_an_execution_that_its_handler_closed_ends_so_however_the_invocation_ends() -> None:
    machine = invoked(succeed(EXECUTION, payload="1"))
    assert machine.fails() == [Finish(ExecutionStatus.SUCCEEDED)]
    assert machine.execution.history[-2].error == BOOM
    assert machine.execution.root.result == "1"


def test_a_stop_comes_before_the_end_of_the_invocation() -> None:
    machine = invoked(succeed(EXECUTION, payload="1"))
    assert machine.send(ev.Stopped, error=BOOM) == [Finish(ExecutionStatus.STOPPED)]
    assert machine.returns(Outcome.SUCCEEDED, result="") == []
    assert machine.events[-2:] == ["ExecutionStopped", "InvocationCompleted"]


def test_a_checkpoint_cannot_close_it_with_a_result_that_its_caller_cannot_take() -> None:
    machine = invoked(limits=Limits(execution_output=4))
    with pytest.raises(InvalidParameterValue, match=r"^Execution output payload size must"):
        machine.checkpoint(succeed(EXECUTION, payload='"123"'))
    assert not machine.execution.closing


def test_what_was_in_progress_at_the_end_stays_so() -> None:
    machine = invoked(start(STEP), start(WAIT, "wait"))
    machine.returns(Outcome.SUCCEEDED)
    assert machine.pass_time(1000) == []
    assert machine.op().status is machine.op("wait").status is OperationStatus.STARTED
    assert machine.execution.waiting == []


# -- suspension --------------------------------------------------------------------------


@pytest.mark.parametrize("update", [start(CALLBACK), start(CHAINED_INVOKE), start(WAIT), retry()])
def test_a_suspended_execution_sleeps(update: OperationUpdate) -> None:
    machine = invoked(update)
    assert machine.suspends() == []
    assert machine.execution.suspended
    assert machine.execution.request_id is None
    assert [op.id for op in machine.execution.waiting] == ["op"]
    assert machine.last_event.error is None


def test_pending_with_nothing_pending_is_a_failed_invocation() -> None:
    machine = invoked(start(STEP))
    machine.suspends()
    assert machine.last_event.error == ErrorObject(
        "Cannot return PENDING status with no pending operations.",
        "InvalidParameterValueException",
    )
    assert machine.execution.suspended
    assert machine.pass_time(1) == [Invoke()]


def test_a_handler_that_leaves_with_stale_state_is_invoked_again() -> None:
    machine = invoked(start(WAIT, wait_seconds=1))
    assert machine.pass_time(1) == []
    assert machine.suspends() == [Invoke()]
    machine.invoke()
    machine.checkpoint(start(WAIT, "next"))
    assert machine.suspends() == []


def test_a_handler_that_was_told_and_leaves_is_not_invoked_for_that_again() -> None:
    """What it was told in a reply, it is expected to have acted upon."""
    machine = invoked(start(WAIT, wait_seconds=1), start(WAIT, "longer", wait_seconds=60))
    machine.pass_time(1)
    reply = machine.checkpoint()
    assert [(op.id, op.status) for op in reply.operations] == [("op", OperationStatus.SUCCEEDED)]
    assert machine.suspends() == []
    assert machine.pass_time(59) == [Invoke()]
    assert machine.events[-3:] == ["WaitSucceeded", "InvocationCompleted", "WaitSucceeded"]


def test_a_handler_that_was_told_all_and_waits_for_nothing_has_failed() -> None:
    machine = invoked(start(CALLBACK))
    machine.send(ev.CallbackSucceeded, callback_id=machine.op().callback_id)
    machine.checkpoint()
    assert machine.suspends() == []
    assert machine.last_event.error is not None
    assert machine.pass_time(1) == [Invoke()]


def test_a_completion_while_an_invocation_is_asked_for_asks_for_no_other() -> None:
    machine = invoked(start(WAIT, "a", wait_seconds=1), start(WAIT, "b", wait_seconds=2))
    machine.suspends()
    assert machine.pass_time(1) == [Invoke()]
    assert machine.pass_time(1) == []
    ops = {op.id: op.status for op in machine.invoke().operations}
    assert ops["a"] is ops["b"] is OperationStatus.SUCCEEDED


def test_pending_with_nothing_pending_for_the_third_time_in_a_row_fails_the_execution() -> None:
    """However many retries there are for invocations that die."""
    machine = invoked(retries=0)
    for _ in range(2):
        assert machine.suspends() == []
        machine.pass_time(10)
        machine.invoke()
        machine.checkpoint(start(STEP, machine.request_id))
    assert machine.suspends() == [Finish(ExecutionStatus.FAILED)]
    assert machine.execution.root.error == machine.execution.history[-2].error
    assert machine.events[-2:] == ["InvocationCompleted", "ExecutionFailed"]


def test_a_suspension_that_waits_for_something_makes_up_for_those_that_did_not() -> None:
    machine = invoked(retries=100)
    for number in range(6):
        if number % 2:
            machine.checkpoint(start(WAIT, f"wait-{number}", wait_seconds=1))
        machine.suspends()
        machine.pass_time(10)
        machine.invoke()
    assert machine.execution.status is ExecutionStatus.RUNNING


# -- outputs that are none ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "result", "error", "why"),
    [
        (Outcome.SUCCEEDED, "1", BOOM, "Cannot provide an Error for SUCCEEDED status."),
        (Outcome.FAILED, "1", None, "Cannot provide a Result for FAILED status."),
    ],
)
def test_an_output_that_contradicts_itself_fails_the_execution_at_once(
    outcome: Outcome, result: str, error: ErrorObject | None, why: str
) -> None:
    machine = invoked()
    assert machine.returns(outcome, result, error) == [Finish(ExecutionStatus.FAILED)]
    *_, completed, failed = machine.execution.history
    assert completed.error == failed.error == ErrorObject(why, "InvalidParameterValueException")


def test_a_failure_without_an_error_is_a_failure() -> None:
    machine = invoked()
    assert machine.returns(Outcome.FAILED) == [Finish(ExecutionStatus.FAILED)]
    assert machine.execution.root.error is None


def test_a_result_that_its_caller_cannot_take_fails_the_execution() -> None:
    machine = invoked(limits=Limits(execution_output=4))
    machine.returns(Outcome.SUCCEEDED, '"\u00e9"')
    assert machine.execution.status is ExecutionStatus.SUCCEEDED
    machine = invoked(limits=Limits(execution_output=4))
    machine.returns(Outcome.SUCCEEDED, '"\u00e9x"')
    assert machine.execution.status is ExecutionStatus.FAILED
    assert machine.execution.root.error == ErrorObject(
        "Execution output payload size must be less than or equal to 4 bytes."
    )


# -- failed invocations ------------------------------------------------------------------


def test_a_failed_invocation_is_tried_again_after_a_back_off() -> None:
    machine = invoked(backoff_ms=1000)
    assert machine.fails() == []
    assert machine.execution.suspended
    assert machine.pass_time(0.999) == []
    assert machine.pass_time(0.001) == [Invoke()]


def test_the_back_off_doubles_up_to_its_limit() -> None:
    machine = Machine(retries=10, backoff_ms=1000, max_retry_backoff_ms=5000)
    waits = []
    for _ in range(5):
        machine.invoke()
        machine.fails()
        _, due = machine.execution.next_timer() or (None, 0)
        waits.append(due - machine.now_ms)
        machine.pass_time(waits[-1] / 1000)
    assert waits == [1000, 2000, 4000, 5000, 5000]


def test_past_the_limit_the_last_cause_fails_the_execution() -> None:
    machine = Machine(retries=2)
    causes = [ErrorObject(f"died {n}", "Runtime.ExitError") for n in range(3)]
    for cause in causes:
        machine.invoke()
        commands = machine.fails(cause)
        machine.pass_time(10)
    assert commands == [Finish(ExecutionStatus.FAILED)]
    assert machine.execution.root.error == causes[-1]
    completed = [e for e in machine.execution.history if e.type.value == "InvocationCompleted"]
    assert [event.error for event in completed] == causes


@pytest.mark.parametrize("progress", ["checkpoint", "suspension"])
def test_progress_resets_the_count(progress: str) -> None:
    machine = invoked(start(WAIT, "wait", wait_seconds=1000), retries=1)
    machine.fails()
    machine.pass_time(1)
    machine.invoke()
    if progress == "checkpoint":
        machine.checkpoint(start(STEP))
    else:
        machine.suspends()
        machine.pass_time(1000)
        machine.invoke()
    machine.fails()
    assert not machine.execution.ended
    assert machine.pass_time(1) == [Invoke()]


def test_an_empty_checkpoint_is_no_progress() -> None:
    machine = invoked(retries=1)
    machine.fails()
    machine.pass_time(1)
    machine.invoke()
    machine.checkpoint()
    assert machine.fails() == [Finish(ExecutionStatus.FAILED)]


def test_with_no_retries_the_first_failure_is_the_end() -> None:
    machine = invoked(retries=0)
    assert machine.fails() == [Finish(ExecutionStatus.FAILED)]


def test_a_completion_does_not_cut_a_back_off_short() -> None:
    machine = invoked(start(WAIT, wait_seconds=1), backoff_ms=5000)
    machine.fails()
    assert machine.pass_time(4) == []
    assert machine.op().status is OperationStatus.SUCCEEDED
    assert machine.pass_time(1) == [Invoke()]


@pytest.mark.parametrize("event", [ev.InvocationReturned, ev.InvocationFailed])
def test_the_end_of_an_invocation_that_is_not_in_progress_says_nothing(event: type) -> None:
    """A zombie's: its lease ended before."""
    machine = invoked(start(CALLBACK))
    machine.fails()
    machine.pass_time(1)
    machine.invoke()
    before = machine.snapshot()
    fields = {"error": BOOM} if event is ev.InvocationFailed else {"outcome": Outcome.SUCCEEDED}
    assert machine.send(event, request_id="request-1", **fields) == []
    assert machine.snapshot() == before


# -- stop and time-out -------------------------------------------------------------------


def test_a_stop_ends_it_at_once() -> None:
    machine = invoked(start(STEP), start(WAIT, "wait"))
    machine.now_ms += 1000
    assert machine.send(ev.Stopped, error=BOOM) == [Finish(ExecutionStatus.STOPPED)]
    root = machine.execution.root
    assert (root.status, root.error, root.end_ms) == (OperationStatus.STOPPED, BOOM, T0 + 1000)
    assert machine.op().status is machine.op("wait").status is OperationStatus.STARTED
    assert machine.events[-1] == "ExecutionStopped"
    assert machine.execution.next_timer() is None


def test_the_running_invocation_learns_of_a_stop_at_its_next_checkpoint() -> None:
    machine = invoked()
    machine.send(ev.Stopped, error=BOOM)
    assert machine.execution.request_id == "request-1"
    with pytest.raises(InvalidCheckpointToken) as refused:
        machine.checkpoint(start(STEP))
    assert refused.value.why == "the execution has ended."
    machine.fails(BOOM)
    assert machine.events == ["ExecutionStarted", "ExecutionStopped", "InvocationCompleted"]
    assert machine.last_event.error == BOOM
    assert machine.execution.status is ExecutionStatus.STOPPED


@pytest.mark.parametrize("outcome", Outcome)
def test_the_result_of_an_invocation_that_a_stop_overtook_says_nothing(outcome: Outcome) -> None:
    machine = invoked()
    machine.send(ev.Stopped, error=BOOM)
    root = machine.execution.root
    assert machine.returns(outcome, result="1") == []
    assert machine.execution.root == root
    assert machine.events[-1] == "InvocationCompleted"


def test_a_stop_in_a_back_off_starts_nothing_any_more() -> None:
    machine = invoked()
    machine.fails()
    machine.send(ev.Stopped, error=BOOM)
    assert machine.pass_time(1000) == []


def test_a_second_stop_says_nothing() -> None:
    machine = invoked()
    machine.send(ev.Stopped, error=BOOM)
    before = machine.snapshot()
    assert machine.send(ev.Stopped, error=ErrorObject("again")) == []
    assert machine.snapshot() == before


def test_an_execution_times_out() -> None:
    machine = invoked(start(CALLBACK), retry("step"), timeout_seconds=300)
    machine.suspends()
    machine.pass_time(299)
    assert machine.execution.status is ExecutionStatus.RUNNING
    machine.invoke()
    assert machine.pass_time(1) == [Finish(ExecutionStatus.TIMED_OUT)]
    root = machine.execution.root
    assert (root.status, root.end_ms) == (OperationStatus.TIMED_OUT, T0 + 300_000)
    assert root.error is None
    assert machine.events[-1] == "ExecutionTimedOut"
    assert machine.op().status is OperationStatus.STARTED


def test_nothing_fires_after_the_time_out() -> None:
    machine = invoked(start(WAIT, wait_seconds=301), timeout_seconds=300)
    machine.suspends()
    assert machine.pass_time(1000) == [Finish(ExecutionStatus.TIMED_OUT)]
    assert machine.op().status is OperationStatus.STARTED


def test_an_invocation_is_in_the_history_with_its_times() -> None:
    machine = invoked(start(WAIT))
    machine.now_ms += 250
    machine.suspends()
    event = machine.last_event
    assert event.type.value == "InvocationCompleted"
    assert (event.request_id, event.error) == ("request-1", None)
    assert (event.start_ms, event.end_ms) == (T0, T0 + 250)


def test_each_invocation_gets_all_there_is() -> None:
    machine = invoked(start(WAIT, wait_seconds=1), start(STEP, "step"), succeed(STEP, "step"))
    machine.suspends()
    machine.pass_time(1)
    delivered = machine.invoke()
    assert isinstance(delivered, Deliver)
    assert delivered.operations == list(machine.execution.operations.values())
    assert delivered.next_marker == ""
