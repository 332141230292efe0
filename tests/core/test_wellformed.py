"""The judge of histories: what it lets pass, and what it sees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from async_durable_execution_runner.core.model import EventType, HistoryEvent
from async_durable_execution_runner.core.wellformed import problems

T = EventType


def events(*rows: tuple) -> list[HistoryEvent]:
    """(type, operation id, anything else), one after another."""
    return [
        HistoryEvent(number, type_, number, id=operation_id, **(rest[0] if rest else {}))
        for number, (type_, operation_id, *rest) in enumerate(rows, start=1)
    ]


GOOD = events(
    (T.EXECUTION_STARTED, "e"),
    (T.STEP_STARTED, "s"),
    (T.STEP_FAILED, "s", {"next_attempt_delay_seconds": 1}),
    (T.INVOCATION_COMPLETED, None),
    (T.STEP_STARTED, "s"),
    (T.STEP_SUCCEEDED, "s"),
    (T.CONTEXT_STARTED, "c"),
    (T.WAIT_STARTED, "w", {"parent_id": "c"}),
    (T.WAIT_SUCCEEDED, "w", {"parent_id": "c"}),
    (T.CONTEXT_SUCCEEDED, "c"),
    (T.INVOCATION_COMPLETED, None),
    (T.EXECUTION_SUCCEEDED, "e"),
)


def test_a_good_one_has_no_problems():
    assert problems(GOOD) == []
    assert problems([replace(event, timestamp_ms=1) for event in GOOD]) == []


@pytest.mark.parametrize(
    "end",
    [T.EXECUTION_FAILED, T.EXECUTION_TIMED_OUT, T.EXECUTION_STOPPED],
    ids=lambda end: end.value,
)
def test_any_end_is_one(end: EventType):
    assert problems([*GOOD[:-1], replace(GOOD[-1], type=end)]) == []


def test_none_at_all_has_neither_beginning_nor_end():
    assert problems([]) == [
        "the history does not begin with ExecutionStarted",
        "the execution ends 0 times: never",
    ]


def without(*numbers: int) -> list[HistoryEvent]:
    kept = [event for event in GOOD if event.event_id not in numbers]
    return [replace(event, event_id=number) for number, event in enumerate(kept, start=1)]


@pytest.mark.parametrize(
    ("history", "problem"),
    [
        ([replace(event, event_id=event.event_id + 1) for event in GOOD], "event ids"),
        ([*GOOD[:5], replace(GOOD[5], timestamp_ms=1), *GOOD[6:]], "order of their time"),
        (without(1), "does not begin with ExecutionStarted"),
        (without(12), "the execution ends 0 times: never"),
        ([*GOOD, replace(GOOD[-1], event_id=13, timestamp_ms=13)], "the execution ends 2 times"),
        (without(3), "step s was started twice in one attempt"),
        (without(2), "StepFailed of s comes without a start"),
        (
            events((T.WAIT_SUCCEEDED, "0123456789")),
            "WaitSucceeded of 01234567 comes without a start",
        ),
        (
            events((T.WAIT_SUCCEEDED, "w", {"name": "cool off"})),
            "WaitSucceeded of cool off comes without a start",
        ),
        (without(7), "WaitStarted of w comes before its parent's start"),
        (
            [*GOOD[:-1], *events((T.WAIT_SUCCEEDED, "w"), (T.EXECUTION_SUCCEEDED, "e"))],
            "WaitSucceeded of w comes after WaitSucceeded",
        ),
    ],
)
def test_what_is_wrong_is_named(history: list[HistoryEvent], problem: str):
    assert any(problem in each for each in problems(history)), problems(history)
