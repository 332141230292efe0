"""Cases of our own, in the suite's form, for rules that the published half does not show."""

from __future__ import annotations

from typing import Any

import pytest

from .cases import Case
from .deployments import DEPLOYMENTS
from .driver import RunnerDriver, check

pytestmark = pytest.mark.processes


def events(*expected: tuple[int, str] | tuple[int, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Each by id and type, with its details where they matter."""
    return [
        {"EventId": id, "EventType": type, f"{type}Details": details[0] if details else "*"}
        for id, type, *details in expected
    ]


def failure(type: str | None = None, message: str = "*") -> dict[str, Any]:
    payload = {"ErrorMessage": message} | ({"ErrorType": type} if type else {})
    return {"Error": {"Payload": payload, "Truncated": False}}


def case(id: str, status: str, history: list[dict[str, Any]], **fields: Any) -> Case:
    result = {"ExecutionStatus": status}
    if "result" in fields:
        result["Result"] = fields.pop("result")
    return Case("own", id, fields.pop("input", None), result, history)


CASES = [
    case(
        "missing target",
        "SUCCEEDED",
        events(
            (2, "ChainedInvokeStarted", {"FunctionName": "target"}),
            (3, "ChainedInvokeFailed", failure("ResourceNotFoundException")),
            (4, "InvocationCompleted"),
        ),
        result="ResourceNotFoundException",
    ),
    case(
        "plain target",
        "SUCCEEDED",
        events(
            (2, "ChainedInvokeStarted", {"Input": {"Payload": "1"}, "ExecutedVersion": "$LATEST"}),
            (3, "InvocationCompleted"),
            (4, "ChainedInvokeSucceeded", {"Result": {"Payload": '{"echo": 1}'}}),
            (5, "InvocationCompleted"),
            (6, "ExecutionSucceeded"),
        ),
        input=1,
        result={"echo": 1},
    ),
    case(
        "failing plain target",
        "SUCCEEDED",
        events(
            (3, "InvocationCompleted"),
            (4, "ChainedInvokeFailed", failure("ValueError", "the target refuses")),
            (5, "InvocationCompleted"),
            (6, "ExecutionSucceeded"),
        ),
        result="ValueError",
    ),
    case(
        "target that times out",
        "SUCCEEDED",
        events(
            (2, "ChainedInvokeStarted", {"DurableExecutionArn": "${/:target:/}"}),
            (3, "InvocationCompleted"),
            (
                4,
                "ChainedInvokeTimedOut",
                failure("ChainedInvoke.Timeout", "CHAINED_INVOKE timed out after 10 seconds."),
            ),
            (5, "InvocationCompleted"),
            (6, "ExecutionSucceeded"),
        ),
        result="ChainedInvoke.Timeout",
    ),
    case(
        "hanging step",
        "SUCCEEDED",
        events(
            (2, "StepStarted"),
            (
                3,
                "InvocationCompleted",
                failure("Sandbox.Timedout", "${/Task timed out after 1.00 seconds$/}"),
            ),
            (4, "StepFailed", {"RetryDetails": {"CurrentAttempt": 1}}),
            (5, "InvocationCompleted"),
            (6, "StepStarted"),
            (7, "StepSucceeded", {"RetryDetails": {"CurrentAttempt": 2}}),
            (8, "InvocationCompleted"),
            (9, "ExecutionSucceeded"),
        ),
        result="second attempt",
    ),
    case(
        "crash",
        "FAILED",
        events(
            (2, "InvocationCompleted", failure("Runtime.ExitError", "${/exit status 7$/}")),
            (3, "InvocationCompleted", failure("Runtime.ExitError")),
            (4, "ExecutionFailed", failure("Runtime.ExitError")),
        ),
    ),
    case(
        "heartbeat before time-out",
        "FAILED",
        events(
            (2, "CallbackStarted", {"Timeout": 60, "HeartbeatTimeout": 3}),
            (3, "InvocationCompleted"),
            (
                4,
                "CallbackTimedOut",
                failure("Callback.Heartbeat", "Callback timed out on heartbeat"),
            ),
            (5, "InvocationCompleted"),
            (6, "ExecutionFailed"),
        ),
    ),
    case(
        "large result",
        "SUCCEEDED",
        events((2, "InvocationCompleted"), (3, "ExecutionSucceeded")),
        input=6 * 1024 * 1024 - 2,
        result="${/^x+$/}",
    ),
    case(
        "execution time-out",
        "TIMED_OUT",
        events(
            (2, "WaitStarted"),
            (3, "InvocationCompleted"),
            (4, "ExecutionTimedOut", {}),
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_rule(case: Case) -> None:
    check(case, RunnerDriver(DEPLOYMENTS))
