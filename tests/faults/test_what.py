"""Each thing that can go wrong, with real processes: what the invocation fails with, that the
execution comes to its end all the same, and what is left of it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from async_durable_execution_runner import (
    DurableFunctionTestRunner,
    InvalidParameterValue,
    InvocationStatus,
)

from . import handlers

pytestmark = pytest.mark.processes

#: Fault, error type and a part of the message of the invocation that it struck.
STRUCK = [
    ("kill@after-commit:1", "Runtime.ExitError", "signal: killed"),
    ("exit=3@after-commit:1", "Runtime.ExitError", "exit status 3"),
    ("exit=0@before-commit:1", "Runtime.ExitError", "Runtime exited without providing a reason"),
    ("segfault@before-commit:2", "Runtime.ExitError", "signal: segmentation fault"),
    ("oom@after-commit:1", "Runtime.OutOfMemory", "out of memory"),
    ("raise=no route to host@before-commit:1", "CheckpointError", "no route to host"),
    ("hang@after-commit:1", "Sandbox.Timedout", "Task timed out after 30.00 seconds"),
    ("hang-c@after-commit:1", "Sandbox.Timedout", "Task timed out after 30.00 seconds"),
    ("freeze@after-commit:1", "Sandbox.Timedout", "Task timed out after 30.00 seconds"),
    ("timeout@before-commit:1", "Sandbox.Timedout", "Task timed out after 30.00 seconds"),
    ("delay=31@after-commit:1", "Sandbox.Timedout", "Task timed out after 30.00 seconds"),
    ("fail=TooManyRequestsException@before-commit:2", "CheckpointError", "TooManyRequests"),
    ("fail=ServiceException@after-commit:2", "CheckpointError", "(ServiceException)"),
    ("fail=ServiceException@state-read:1", "GetExecutionStateError", "(ServiceException)"),
    ("cut@before-commit:1", "CheckpointError", "the connection was cut"),
    ("cut@invocation-start:1", "Runtime.ExitError", "signal: killed"),
]


@pytest.mark.parametrize(("fault", "kind", "message"), STRUCK)
def test_the_invocation_fails_with_its_cause_and_the_execution_goes_on(
    runner: DurableFunctionTestRunner, fault: str, kind: str, message: str
):
    strikes(runner, fault, kind, message)


@pytest.mark.usefixtures("own_cluster")
def test_so_it_does_where_the_host_of_the_worker_dies(runner: DurableFunctionTestRunner):
    why = "its worker host went away"
    strikes(runner, "kill-host@after-commit:1", "Runtime.ExitError", why)


def strikes(runner: DurableFunctionTestRunner, fault: str, kind: str, message: str):
    result = runner.run({}, faults=fault)
    assert result.result == handlers.ORDERED, result.describe()
    struck = [each for each in result.invocations if each.error is not None]
    assert [each.error.type for each in struck] == [kind], result.describe()
    assert message in struck[0].error.message
    assert [each.fault for each in result.faults] == [fault]
    assert result.unfired_faults == []
    assert fault in result.describe()


@pytest.mark.parametrize("fault", ["hang@after-commit:1", "hang-c@after-commit:1"])
def test_a_planned_hang_is_looked_at_like_any_other(runner: DurableFunctionTestRunner, fault: str):
    struck = runner.run({}, faults=fault).invocations[0]
    assert struck.verdict.startswith("stuck")
    assert len(struck.stacks) == 2


def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice(
    runner: DurableFunctionTestRunner,
):
    for place in ("before-commit:1", "after-commit:1", "after-commit:4", "state-read:1"):
        result = runner.run({}, faults=f"drop@{place}")
        assert result.result == handlers.ORDERED, place
        assert [each.outcome for each in result.invocations] == ["PENDING", "SUCCEEDED"], place
        result.ledger.assert_effect_once("charge")
        assert [each.moment for each in result.faults] == [place]


def test_a_late_answer_takes_time_on_the_executions_clock(runner: DurableFunctionTestRunner):
    result = runner.run({}, faults="delay=20@after-commit:1")
    assert result.result == handlers.ORDERED
    assert 30 <= result.duration.total_seconds() < 31
    assert len(result.invocations) == 2


def test_a_kms_error_is_nothing_to_be_tried_again(runner: DurableFunctionTestRunner):
    result = runner.run({}, faults="fail=KMSAccessDeniedException@before-commit:1")
    assert result.status is InvocationStatus.FAILED
    assert "KMSAccessDeniedException" in result.error.message
    assert len(result.invocations) == 1


def test_a_stale_token_ends_the_execution_as_this_sdk_has_it_on_lambda(
    runner: DurableFunctionTestRunner,
):
    """No release so far takes the service's text for a stale token, and so none retries."""
    result = runner.run({}, faults="fail=InvalidParameterValueException@before-commit:2")
    assert (result.status, len(result.invocations)) == (InvocationStatus.FAILED, 1)
    assert result.error is not None
    assert (result.error.type, result.error.message) == (
        "CheckpointError",
        "An error occurred (InvalidParameterValueException) when calling the "
        "CheckpointDurableExecution operation: Invalid checkpoint token",
    )


@pytest.mark.parametrize(
    "place", ["before-commit:3", "after-commit:3", "invocation-start:2", "effect:charge"]
)
def test_a_zombies_checkpoint_is_refused_while_its_replacement_goes_on(
    runner: DurableFunctionTestRunner, place: str
):
    result = runner.run({}, faults=f"freeze@{place}")
    assert result.result == handlers.ORDERED
    refusal = "its checkpoint was refused: InvalidParameterValueException: Invalid checkpoint token"
    assert [each.note for each in result.faults] == [refusal], result.describe()


def test_a_zombie_whose_work_was_done_is_ignored(runner: DurableFunctionTestRunner):
    result = runner.run({}, faults="freeze@invocation-result:2")
    assert result.result == handlers.ORDERED
    assert [each.outcome for each in result.invocations] == ["PENDING", "ERROR", "SUCCEEDED"]
    assert result.faults[0].note == "it went on, and its result was ignored"


def test_no_zombie_is_left(runner: DurableFunctionTestRunner):
    result = runner.run({}, faults="freeze@after-commit:3")
    struck = result.invocations[1].pid
    assert struck not in [each.pid for each in runner.status().workers]


@pytest.mark.parametrize("number", [1, 2])
def test_a_second_delivery_does_its_work_and_is_refused(
    runner: DurableFunctionTestRunner, number: int
):
    result = runner.run({}, faults=f"duplicate@invocation-start:{number}")
    assert result.result == handlers.ORDERED
    assert [each.outcome for each in result.invocations] == ["PENDING", "SUCCEEDED"]
    assert "Invalid checkpoint token" in result.faults[0].note
    # The two deliveries run beside each other, so either effect may be the earlier.
    stale = sorted(effect.stale for effect in result.ledger.named("charge"))
    assert stale == ([False, True] if number == 1 else [False])


def test_a_step_that_may_run_once_is_not_run_by_a_second_delivery(
    runner: DurableFunctionTestRunner,
):
    result = runner.run({}, function_name="careful", faults="duplicate@invocation-start:1")
    assert result.result == '"attempt 1"'
    result.ledger.assert_effect_once("charge")


def test_a_step_that_may_run_once_is_interrupted_by_a_death_and_retried(
    runner: DurableFunctionTestRunner,
):
    result = runner.run({}, function_name="careful", faults="kill@effect:charge")
    assert result.result == '"attempt 2"'
    assert [effect.key for effect in result.ledger] == ["attempt 1", "attempt 2"]
    kinds = [event.event_type for event in result.history if event.name == "charge"]
    assert kinds == ["StepStarted", "StepFailed", "StepStarted", "StepSucceeded"]


def test_a_step_that_may_run_again_does_after_a_death_in_the_same_attempt(
    runner: DurableFunctionTestRunner,
):
    result = runner.run({}, faults="kill@effect:charge")
    assert [effect.attempt for effect in result.ledger] == [1, 1]
    assert [effect.invocation for effect in result.ledger] == [1, 2]
    kinds = [event.event_type for event in result.history if event.name == "charge"]
    assert kinds == ["StepStarted", "StepSucceeded"]


def test_each_retry_of_a_dead_invocation_waits_longer_on_the_executions_clock():
    with DurableFunctionTestRunner(
        handlers.order, workers=1, invocation_retries=3, retry_backoff=60
    ) as runner:
        result = runner.run({}, faults="kill@before-commit:1;times=3")
        assert result.result == handlers.ORDERED
        starts = [each.start for each in result.invocations]
        waits = [round((b - a).total_seconds()) for a, b in pairwise(starts)]
        assert waits == [60, 120, 240, 10]
        worn_out = runner.run({}, faults="kill@before-commit:1;times=4")
    assert worn_out.status is InvocationStatus.FAILED
    assert worn_out.error.type == "Runtime.ExitError"
    assert len(worn_out.invocations) == 4


def test_what_needs_a_process_is_refused_inline():
    with DurableFunctionTestRunner(handlers.order, isolation="inline", workers=1) as runner:
        for what in ("kill", "exit=1", "segfault", "oom", "hang", "hang-c", "freeze", "kill-host"):
            with pytest.raises(InvalidParameterValue, match="needs worker processes"):
                runner.run({}, faults=f"{what}@after-commit:1")
        result = runner.run({}, faults="raise@before-commit:1")
        assert result.result == handlers.ORDERED


def test_the_coordinator_is_not_killed_where_nothing_outlives_it(
    runner: DurableFunctionTestRunner,
):
    with pytest.raises(InvalidParameterValue, match="needs a store that outlives the coordinator"):
        runner.run({}, faults="kill-coordinator@after-commit:1")
