"""Histories as they come from outside; that what is rebuilt is right is `test_rebuilt`'s."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from async_durable_execution_runner.aws import history
from async_durable_execution_runner.core.model import Operation, OperationStatus

from .scripted import STARTED, event


@pytest.mark.parametrize(
    "value",
    [
        1767225601.5,
        "2026-01-01T00:00:01.500Z",
        "2026-01-01T01:00:01.500000+01:00",
        datetime(2026, 1, 1, 1, 0, 1, 500_000, timezone(timedelta(hours=1))),
    ],
)
def test_times_as_boto3_and_the_command_line_have_them(value: Any) -> None:
    assert history.milliseconds(value) == 1767225601500


def test_a_history_as_the_command_line_prints_it() -> None:
    shapes = [STARTED, event(2, "WaitStarted", "w", Duration=60, ScheduledEndTimestamp=0)]
    printed = json.loads(json.dumps(shapes, default=datetime.isoformat))
    assert history.read_events(printed) == history.read_events(shapes)


def test_an_event_of_a_type_that_is_not_known_is_left_out() -> None:
    events = history.read_events([STARTED, event(2, "QueueStarted")])
    assert [each.event_id for each in events] == [1]


def rebuilt(*shapes: dict[str, Any]) -> Operation:
    return history.operations(history.read_events(shapes))[-1]


def test_a_payload_that_was_cut() -> None:
    cut = event(2, "ContextSucceeded", "c", Result={"Truncated": True})
    assert rebuilt(cut).status is OperationStatus.SUCCEEDED
    assert rebuilt(cut).result is None


def test_a_wait_that_was_cancelled() -> None:
    wait = rebuilt(
        event(2, "WaitStarted", "w", Duration=60),
        event(3, "WaitCancelled", "w", Error={"Payload": {"ErrorMessage": "enough"}}),
    )
    assert (wait.status, wait.error) == (OperationStatus.CANCELLED, None)


def test_an_attempt_whose_time_has_come_is_ready() -> None:
    """There is no event of it, but there are later ones."""
    retry = {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 3}
    failed = event(2, "StepFailed", "s", Error={}, RetryDetails=retry)
    assert rebuilt(failed).status is OperationStatus.PENDING
    before, at = (event(second, "InvocationCompleted") for second in (4, 5))
    assert rebuilt(failed, before).status is OperationStatus.PENDING
    assert rebuilt(failed, before, at).status is OperationStatus.READY
    assert rebuilt(failed, at, before).status is OperationStatus.READY
    begun = rebuilt(failed, at, event(6, "StepStarted", "s"))
    assert (begun.status, begun.next_attempt_ms) == (OperationStatus.STARTED, None)


def test_what_a_condition_has_seen_outlives_a_failed_attempt() -> None:
    retry = {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 3}
    seen = event(2, "StepSucceeded", "s", Result={"Payload": "[1]"}, RetryDetails=retry)
    failed = event(9, "StepFailed", "s", Error={"Payload": {}}, RetryDetails=retry)
    assert rebuilt(seen, failed).result == "[1]"


def test_attempts_are_the_service_s_where_it_counts_them() -> None:
    def step(**details: Any) -> Operation:
        return rebuilt(event(2, "StepSucceeded", "s", Result={}, **details))

    assert step(RetryDetails={"CurrentAttempt": 3}).attempt == 3
    assert step().attempt == 1
