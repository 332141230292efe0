"""Fault plans as data: their text, and the moments at which they strike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from async_durable_execution_runner.core.fault_places import (
    AtOperation,
    AtRandom,
    AtTime,
    Change,
    Moment,
    Numbered,
    Point,
)
from async_durable_execution_runner.core.faults import ALWAYS, Exit, Fault, Kill, Plan, Raise
from async_durable_execution_runner.core.model import OperationAction, OperationType
from async_durable_execution_runner.errors import InvalidParameterValue

TEXTS = [
    "kill@after-commit:17",
    "exit=3@invocation-start:2",
    "segfault@before-commit:1",
    "oom@after-commit:1",
    "raise=no route to host@before-commit:1",
    "hang@invocation-result:1",
    "hang-c@effect:1",
    "freeze@after-commit:*;times=2",
    "timeout@effect:charge*",
    "drop@before-commit:name=cha*,type=STEP,subtype=Step,action=SUCCEED,attempt=2,n=3",
    "delay=0.5@state-read:1",
    "delay=2@state-read:1",
    "fail=ServiceException@state-read:*;times=*",
    "duplicate@invocation-start:1",
    "cut@random:0.05,seed=7",
    "kill@random:0.5,seed=0;times=3",
    "kill@random:1,seed=0",
    "kill@time:0",
    "kill@time:1234567.5",
    "kill@random:0.12345678,seed=0",
    "delay=1234567.5@state-read:1",
    "kill-host@time:3600",
    "kill-coordinator@effect:charge,n=2",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_faults_text_is_all_of_it(text: str):
    fault = Fault.parse(text)
    assert str(fault) == text
    assert Fault.parse(str(fault)) == fault


def test_texts_stand_for_what_they_say():
    assert Fault.parse("kill@after-commit:17") == Fault(Kill(), Numbered(Point.AFTER_COMMIT, 17))
    assert Fault.parse("exit@invocation-start") == Fault(
        Exit(1), Numbered(Point.INVOCATION_START, None)
    )
    assert Fault.parse("raise@before-commit:name=a,attempt=2") == Fault(
        Raise("Connection refused"), AtOperation(Point.BEFORE_COMMIT, name="a", attempt=2)
    )
    assert Fault.parse(" kill@time:1.5\n") == Fault(Kill(), AtTime(1.5))
    assert Fault.parse("kill@random:0.1") == Fault(Kill(), AtRandom(0.1, 0), ALWAYS)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kill", "has no place"),
        ("crash@after-commit:1", "Unknown fault 'crash': use one of kill, "),
        ("kill@somewhere", "Unknown place 'somewhere': use one of before-commit, "),
        ("kill@after-commit:0", "'0' is not the number of the after-commit"),
        ("kill@after-commit:²", "'²' is not the number"),
        ("kill=9@after-commit:1", "takes no argument, not '9'"),
        ("kill=@after-commit:1", "takes no argument, not ''"),
        ("exit=256@after-commit:1", "from 0 to 255"),
        ("fail@before-commit:1", "write fail=CODE"),
        ("fail=Oops@before-commit:1", "Unknown service error 'Oops'"),
        ("drop@invocation-start:1", "needs an answer of the service"),
        ("raise@invocation-start:1", "needs an answer of the service"),
        ("duplicate@after-commit:1", "only an invocation's start can be delivered twice"),
        ("kill@invocation-start:name=x", "only known at a commit"),
        ("fail=ServiceException@state-read:name=x", "only known at a commit"),
        ("kill@before-commit:colour=red", "not 'colour'"),
        ("kill@before-commit:point=time", "not 'point'"),
        ("kill@before-commit:name=", "not 'name'"),
        ("kill@effect", "not of the form"),
        ("kill@effect:charge,n=0", "'0' is not n"),
        ("kill@random:1.5", "between 0 and 1"),
        ("kill@random:0", "between 0 and 1"),
        ("kill@random:0.5,0.6", "not of the form"),
        ("kill@random:chance=0.5", "not of the form"),
        ("kill@random:0.5,seed=x", "'x' is not a seed"),
        ("kill@time:soon", "'soon' is not a number"),
        ("kill@time:inf", "'inf' is not a number"),
        ("kill@after-commit:1;times=0", "'0' is not times"),
    ],
)
def test_bad_texts_are_refused_with_the_reason(text: str, complaint: str):
    with pytest.raises(InvalidParameterValue, match=complaint.replace("(", r"\(")):
        Fault.parse(text)


def moment(
    point: Point, number: int = 1, ordinal: int = 1, elapsed_ms: int = 0, name: str = ""
) -> Moment:
    return Moment(point, number, ordinal, elapsed_ms, (), name)


def strikes(text: str, *moments: Moment) -> list[bool]:
    plan = Plan([Fault.parse(text)])
    return [plan.strikes(each) is not None for each in moments]


def test_a_number_strikes_once_at_its_own():
    moments = [moment(Point.AFTER_COMMIT, n) for n in (1, 2, 2, 3)]
    assert strikes("kill@after-commit:2", *moments) == [False, True, False, False]
    assert strikes("kill@after-commit:2;times=2", *moments) == [False, True, True, False]
    assert strikes("kill@after-commit:*", *moments) == [True, False, False, False]
    assert strikes("kill@after-commit:*;times=*", *moments) == [True] * 4
    assert strikes("kill@before-commit:2", *moments) == [False] * 4


def test_an_operation_strikes_where_all_of_it_fits():
    text = "kill@before-commit:name=ch*,type=STEP,subtype=Step,action=SUCCEED,attempt=2"
    fits = Change("id", OperationType.STEP, OperationAction.SUCCEED, "charge", "Step", 2)

    def at(*changes: Change, point: Point = Point.BEFORE_COMMIT) -> Moment:
        return Moment(point, 1, 1, 0, changes)

    assert strikes(text, at(fits)) == [True]
    assert strikes(text, at(fits, point=Point.AFTER_COMMIT)) == [False]
    for differs in (
        {"name": "ship"},
        {"name": None},
        {"type": OperationType.CONTEXT},
        {"sub_type": "WaitForCondition"},
        {"sub_type": None},
        {"action": OperationAction.RETRY},
        {"attempt": 1},
    ):
        other = replace(fits, **differs)
        assert strikes(text, at(other)) == [False], differs
        assert strikes(text, at(other, fits)) == [True], differs


def test_the_nth_match_and_those_after_it():
    at = [
        Moment(
            Point.AFTER_COMMIT, n, n, 0, (Change("i", OperationType.STEP, OperationAction.START),)
        )
        for n in (1, 2, 3, 4)
    ]
    assert strikes("kill@after-commit:type=STEP,n=2;times=2", *at) == [False, True, True, False]


def test_an_effect_strikes_by_name_or_number():
    first = moment(Point.EFFECT, 1, name="charge")
    second = moment(Point.EFFECT, 2, name="ship")
    assert strikes("kill@effect:sh*", first, second) == [False, True]
    assert strikes("kill@effect:1", first, second) == [True, False]
    assert strikes("kill@effect:*", moment(Point.AFTER_COMMIT), second) == [False, True]


def test_a_moments_label_says_what_was_under_way():
    step, action = OperationType.STEP, OperationAction
    changes = (
        Change("0123456789", step, action.START),
        Change("1", step, action.RETRY, "charge", attempt=2),
    )
    commit = Moment(Point.BEFORE_COMMIT, 1, 1, 0, changes)
    assert commit.label == "STEP 01234567 START, STEP charge RETRY attempt 2"
    assert moment(Point.EFFECT, name="charge").label == "charge"


def test_time_strikes_at_the_first_moment_at_or_after_it():
    moments = [moment(Point.AFTER_COMMIT, n, n, ms) for n, ms in ((1, 999), (2, 1000), (3, 2000))]
    assert strikes("kill@time:1", *moments) == [False, True, False]


def test_a_reply_fault_waits_for_a_reply():
    start = moment(Point.INVOCATION_START, elapsed_ms=5000)
    commit = moment(Point.AFTER_COMMIT, elapsed_ms=5000)
    assert strikes("drop@time:1", start, commit) == [False, True]


def test_chance_is_the_same_for_the_same_seed():
    moments = [moment(Point.AFTER_COMMIT, n, n) for n in range(1, 2001)]
    struck = strikes("kill@random:0.1,seed=3", *moments)
    # Each moment has a chance of its own, the reads of the state beside the commits.
    reads = [moment(Point.STATE_READ, n, 2000 + n) for n in range(1, 2001)]
    assert struck != strikes("kill@random:0.1,seed=3", *reads)
    assert struck == strikes("kill@random:0.1,seed=3", *moments)
    assert struck != strikes("kill@random:0.1,seed=4", *moments)
    assert 120 < sum(struck) < 280


def test_of_several_that_match_the_first_strikes_and_the_rest_later():
    plan = Plan([Fault.parse("kill@after-commit:*"), Fault.parse("exit@after-commit:*")])
    assert str(plan.strikes(moment(Point.AFTER_COMMIT, 1))) == "kill@after-commit:*"
    assert [str(fault) for fault in plan.unfired] == ["exit=1@after-commit:*"]
    assert str(plan.strikes(moment(Point.AFTER_COMMIT, 2))) == "exit=1@after-commit:*"
    assert plan.unfired == []


def test_what_another_fault_took_counts_as_a_match():
    plan = Plan([Fault.parse("kill@effect:*"), Fault.parse("exit@effect:*,n=2")])
    struck = [str(plan.strikes(moment(Point.EFFECT, n))) for n in (1, 2)]
    assert struck == ["kill@effect:*", "exit=1@effect:*,n=2"]


def test_the_clock_is_watched_only_for_what_can_be_done_from_outside():
    assert Plan([Fault.parse("kill@time:3")]).due_in(1000) == 2
    assert Plan([Fault.parse("kill@time:3")]).due_in(9000) == 0
    both = Plan([Fault.parse("kill@time:3"), Fault.parse("kill@time:7")])
    assert both.due_in(1000) == 2
    assert both.strikes(moment(Point.TIME, elapsed_ms=3000)) is not None
    assert both.due_in(4000) == 3
    assert Plan([Fault.parse("exit@time:3"), Fault.parse("drop@time:3")]).due_in(0) is None
    assert Plan([Fault.parse("kill@after-commit:1")]).due_in(0) is None
