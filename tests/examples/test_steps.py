from __future__ import annotations

from datetime import timedelta

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner, InvocationStatus

from .steps import charge_at_most_once, pay_or_cancel, pay_patiently, ship_at_least_once


def test_step_succeeds_at_the_first_attempt(runner_for):
    result = runner_for(pay_patiently).run(input={"failures": 0}, timeout=30)

    assert result.result == '"paid at attempt 1"'
    assert result.get_step("charge").attempt == 1
    assert len(result.invocations) == 1


def test_step_is_retried_with_growing_delays(runner_for):
    result = runner_for(pay_patiently).run(input={"failures": 2}, timeout=30)

    assert result.status is InvocationStatus.SUCCEEDED
    charge = result.get_step("charge")
    assert (charge.result, charge.attempt) == ('"paid at attempt 3"', 3)
    assert timedelta(hours=3) <= charge.duration < timedelta(hours=4)
    assert len(result.invocations) == 3


def test_retries_run_out(runner_for):
    result = runner_for(pay_patiently).run(input={"failures": 9}, timeout=30)

    assert result.status is InvocationStatus.FAILED
    assert result.error.message == "no answer to attempt 4"
    charge = result.get_step("charge")
    assert (charge.error.type, charge.attempt) == ("BankUnavailable", 4)
    *_, last = result.describe().split("invocations ")[1].split("\n  4  ")
    assert "steps.py" in last
    assert "raise BankUnavailable(" in last
    assert "site-packages" not in last
    assert timedelta(hours=6) <= charge.duration < timedelta(hours=7)
    failures = [event for event in result.history if event.event_type == "StepFailed"]
    assert [event.details["attempt"] for event in failures] == [1, 2, 3, 4]


def test_error_that_is_not_worth_a_retry(runner_for):
    result = runner_for(pay_or_cancel).run(input={"order_id": "o-1"}, timeout=30)

    assert result.get_deserialized_result() == {
        "cancelled": "o-1",
        "because": "CardRefused",
        "text": "the card has expired",
    }
    assert result.get_step("charge").attempt == 1
    assert result.get_wait("cooling-off").duration == timedelta(days=1)


@pytest.fixture
def ledger(tmp_path):
    """The outside world: a file that the worker processes write to."""
    return tmp_path / "ledger"


@pytest.mark.processes
def test_worker_dies_in_an_at_least_once_step(ledger):
    with DurableFunctionTestRunner(handler=ship_at_least_once, workers=2) as runner:
        result = runner.run(input={"ledger": str(ledger)}, timeout=30)

    assert result.status is InvocationStatus.SUCCEEDED
    assert result.get_step("label").result == '"label 2"'
    assert ledger.read_text().splitlines() == ["label printed", "label printed"]
    first, second = result.invocations
    assert (first.outcome, second.outcome) == ("ERROR", "SUCCEEDED")
    assert first.error.type == "Runtime.ExitError"
    assert first.pid != second.pid
    # The death uses no retry: for the step nothing has failed.
    assert result.get_step("label").attempt == 1


@pytest.mark.processes
def test_worker_dies_in_an_at_most_once_step(ledger):
    with DurableFunctionTestRunner(handler=charge_at_most_once, workers=2) as runner:
        result = runner.run(input={"ledger": str(ledger)}, timeout=30)

    assert result.get_deserialized_result() == {"payments": 1}
    assert ledger.read_text().splitlines() == ["card charged"]
    assert result.get_step("charge").error.type == "StepInterruptedError"
    assert result.get_wait("settle").duration == timedelta(hours=1)
    assert [invocation.outcome for invocation in result.invocations] == [
        "ERROR",
        "PENDING",
        "SUCCEEDED",
    ]
