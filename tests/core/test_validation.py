"""Every refusal of a checkpoint, in the service's words; and that a refusal changes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from async_durable_execution_runner.core.model import (
    OperationAction,
    OperationStatus,
    OperationUpdate,
)
from async_durable_execution_runner.errors import InvalidParameterValue

from .machine import (
    BOOM,
    CALLBACK,
    CHAINED_INVOKE,
    CONTEXT,
    EXECUTION,
    STEP,
    WAIT,
    cancel,
    fail,
    invoked,
    retry,
    start,
    succeed,
    update,
)

LONGEST = 31_622_400
ELSEWHERE = "arn:aws:lambda:{}:{}:function:ship"


@dataclass(frozen=True)
class Refusal:
    """`batch` is refused with `text`, after a checkpoint of `before`."""

    text: str
    batch: list[OperationUpdate]
    before: tuple[OperationUpdate, ...] = ()


STEP_OPTIONS = "Invalid StepOptions for the given action."
WAIT_OPTIONS = "Invalid WaitOptions for the given action."
PARENT = "Invalid parent operation id."
SAME_ID = "Cannot checkpoint multiple operations with the same ID."
NO_ERROR = "Cannot provide an Error for SUCCEED action."
NO_PAYLOAD = "Cannot provide a Payload for FAIL action."

REFUSALS = [
    # what may be given with an action
    *(Refusal(NO_ERROR, [succeed(t, error=BOOM)]) for t in (STEP, CONTEXT, EXECUTION)),
    *(Refusal(NO_PAYLOAD, [fail(t, payload="1")]) for t in (STEP, CONTEXT, EXECUTION)),
    Refusal(
        "Cannot provide both error and payload to RETRY a STEP.", [retry(error=BOOM, payload="1")]
    ),
    # options
    Refusal(STEP_OPTIONS, [retry(next_attempt_delay_seconds=None)]),
    Refusal(STEP_OPTIONS, [retry(next_attempt_delay_seconds=None)], (start(STEP),)),
    *(
        Refusal(STEP_OPTIONS, [update(STEP, action, next_attempt_delay_seconds=5)])
        for action in (OperationAction.START, OperationAction.SUCCEED, OperationAction.FAIL)
    ),
    Refusal(WAIT_OPTIONS, [start(WAIT, wait_seconds=None)]),
    Refusal(
        "Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.",
        [start(CHAINED_INVOKE, function_name=None)],
    ),
    Refusal(
        "Cannot start a CHAINED_INVOKE on a function in another account.",
        [start(CHAINED_INVOKE, function_name=ELSEWHERE.format("eu-west-1", "210987654321"))],
    ),
    Refusal(
        "Cannot start a CHAINED_INVOKE on a function in another region.",
        [start(CHAINED_INVOKE, function_name=ELSEWHERE.format("eu-west-2", "123456789012"))],
    ),
    # an update must fit the operation
    Refusal("Inconsistent operation type.", [succeed(CONTEXT)], (start(STEP),)),
    Refusal(
        "Inconsistent operation subtype.",
        [succeed(STEP, sub_type="B")],
        (start(STEP, sub_type="A"),),
    ),
    Refusal("Inconsistent operation subtype.", [succeed(STEP, sub_type="B")], (start(STEP),)),
    Refusal("Inconsistent operation name.", [succeed(STEP, name="b")], (start(STEP, name="a"),)),
    Refusal("Inconsistent operation name.", [succeed(STEP, name="b")], (start(STEP),)),
    Refusal(
        "Inconsistent parent operation id.",
        [succeed(STEP, parent_id="d")],
        (start(CONTEXT, "c"), start(CONTEXT, "d"), start(STEP, parent_id="c")),
    ),
    Refusal("Inconsistent parent operation id.", [succeed(STEP, parent_id="c")], (start(STEP),)),
    Refusal("Inconsistent operation type.", [start(STEP), succeed(CONTEXT)]),
    Refusal("Inconsistent operation name.", [start(STEP, name="a"), succeed(STEP, name="b")]),
    # parents
    Refusal(PARENT, [start(STEP, parent_id="nobody")]),
    Refusal(PARENT, [start(STEP, parent_id="op")]),
    Refusal(PARENT, [start(STEP, parent_id="s")], (start(STEP, "s"),)),
    Refusal(PARENT, [start(STEP, parent_id="c"), start(CONTEXT, "c")]),
    # batches
    Refusal("Cannot checkpoint multiple EXECUTION updates.", [succeed(EXECUTION)] * 2),
    Refusal(
        "EXECUTION checkpoint must be the last update.", [succeed(EXECUTION, "e"), start(STEP)]
    ),
    Refusal(SAME_ID, [start(STEP), start(STEP)]),
    Refusal(SAME_ID, [start(STEP), succeed(STEP), succeed(STEP)]),
    Refusal(SAME_ID, [start(STEP), retry(), succeed(STEP)]),
    Refusal(SAME_ID, [succeed(STEP), start(STEP)]),
    Refusal(SAME_ID, [start(CONTEXT), succeed(CONTEXT), fail(CONTEXT)]),
    Refusal(SAME_ID, [start(WAIT), cancel()]),
    Refusal(SAME_ID, [start(CALLBACK), start(CALLBACK)]),
    Refusal(SAME_ID, [start(STEP), succeed(EXECUTION)]),
]

#: A good beginning that leaves all there is to leave: operations, events, timers, commands.
GOOD = [
    start(CONTEXT, "good-1"),
    start(WAIT, "good-2", parent_id="good-1", wait_seconds=1),
    start(CALLBACK, "good-3", timeout_seconds=1, heartbeat_timeout_seconds=1),
    start(CHAINED_INVOKE, "good-4"),
    start(STEP, "good-5"),
    retry("good-6", next_attempt_delay_seconds=1),
]


def label(refusal: Refusal) -> str:
    kinds = "+".join(f"{u.type.value}-{u.action.value}" for u in refusal.batch)
    return f"{kinds}: {refusal.text[:50]}"


@pytest.mark.parametrize("refusal", REFUSALS, ids=label)
def test_refused(refusal: Refusal) -> None:
    machine = invoked(*refusal.before)
    before = machine.snapshot()
    with pytest.raises(InvalidParameterValue, match=f"^{re.escape(refusal.text)}$"):
        machine.checkpoint(*refusal.batch)
    assert before == machine.snapshot()


@pytest.mark.parametrize("refusal", REFUSALS, ids=label)
def test_refused_after_good_updates_that_leave_no_trace(refusal: Refusal) -> None:
    machine = invoked(*refusal.before)
    before, timer = machine.snapshot(), machine.execution.next_timer()
    with pytest.raises(InvalidParameterValue, match=f"^{re.escape(refusal.text)}$"):
        machine.checkpoint(*GOOD, *refusal.batch)
    assert before == machine.snapshot()
    assert timer == machine.execution.next_timer()
    assert machine.pass_time(10) == []


def test_after_a_refusal_the_token_is_still_good() -> None:
    machine = invoked()
    with pytest.raises(InvalidParameterValue):
        machine.checkpoint(start(WAIT, wait_seconds=0))
    machine.checkpoint(start(WAIT, wait_seconds=1))


ACCEPTED = {
    "the longest wait": [start(WAIT, wait_seconds=LONGEST)],
    "the longest delay": [retry(next_attempt_delay_seconds=LONGEST)],
    "the longest time-outs": [
        start(CALLBACK, timeout_seconds=99_999_999, heartbeat_timeout_seconds=99_999_999)
    ],
    "zero for no time-out": [start(CALLBACK, timeout_seconds=0, heartbeat_timeout_seconds=0)],
    "a function here, by ARN": [
        start(CHAINED_INVOKE, function_name=ELSEWHERE.format("eu-west-1", "123456789012"))
    ],
    "a function by name and qualifier": [start(CHAINED_INVOKE, function_name="ship:live")],
    "START and one more of a STEP": [start(STEP), retry(error=BOOM)],
    "START and one more of a CONTEXT": [start(CONTEXT), fail(CONTEXT, error=BOOM)],
    "a parent of the same batch": [start(CONTEXT, "c"), start(STEP, parent_id="c")],
    "the end in the last place": [start(STEP), succeed(EXECUTION, "e")],
    "nothing": [],
    "a RETRY of what was never started": [retry()],
    "a FAIL with nothing to say": [fail(STEP)],
}


@pytest.mark.parametrize("batch", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(batch: list[OperationUpdate]) -> None:
    machine = invoked()
    machine.checkpoint(*batch)
    assert {u.id for u in batch if u.type is not EXECUTION} == (
        machine.execution.operations.keys() - {machine.execution.id}
    )


def test_what_is_left_out_of_a_later_update_is_as_it_was() -> None:
    machine = invoked(start(CONTEXT, "c"), start(STEP, name="a", sub_type="A", parent_id="c"))
    machine.checkpoint(succeed(STEP))
    step = machine.op()
    assert (step.name, step.sub_type, step.parent_id) == ("a", "A", "c")
    assert step.status is OperationStatus.SUCCEEDED
