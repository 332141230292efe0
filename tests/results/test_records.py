"""What a record of an execution says of its callbacks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from async_durable_execution_runner.core.model import (
    EventType,
    ExecutionStatus,
    HistoryEvent,
    Operation,
    OperationStatus,
    OperationType,
)
from async_durable_execution_runner.results.records import ExecutionRecord, InvocationRecord

STARTED = OperationStatus.STARTED
APPROVAL = Operation("a", OperationType.CALLBACK, STARTED, 0, name="approval")
RECORD = ExecutionRecord(
    "arn",
    ExecutionStatus.RUNNING,
    operations=[APPROVAL],
    events=[HistoryEvent(1, EventType.CALLBACK_STARTED, 0, "a")],
    invocations=[InvocationRecord("r", outcome="PENDING")],
)


def test_it_waits_for_answers_only() -> None:
    assert RECORD.needs_an_answer
    assert RECORD.open_callbacks == ["approval"]


@pytest.mark.parametrize(
    "differs",
    [
        {"status": ExecutionStatus.SUCCEEDED},
        {"invocations": [InvocationRecord("r")]},
        {"operations": [replace(APPROVAL, status=OperationStatus.SUCCEEDED)]},
        {"operations": [APPROVAL, Operation("w", OperationType.WAIT, STARTED, 0)]},
        {"events": [replace(RECORD.events[0], timeout_seconds=9)]},
        {"events": [replace(RECORD.events[0], heartbeat_timeout_seconds=9)]},
    ],
)
def test_something_else_may_happen(differs: dict) -> None:
    assert not replace(RECORD, **differs).needs_an_answer
