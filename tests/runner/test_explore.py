"""How an exploration goes on and what it says; its runs are played, from records made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from async_durable_execution_runner.client.control import HostStatus, Start
from async_durable_execution_runner.core.fault_places import CrashPoint
from async_durable_execution_runner.core.model import (
    Effect,
    ErrorObject,
    EventType,
    ExecutionStatus,
    HistoryEvent,
    Operation,
    OperationStatus,
    OperationType,
)
from async_durable_execution_runner.errors import CoordinatorUnavailable, OperationNotFound
from async_durable_execution_runner.pytest_plugin.section import text_of
from async_durable_execution_runner.results.records import ExecutionRecord, InvocationRecord
from async_durable_execution_runner.results.result import DurableFunctionTestResult
from async_durable_execution_runner.runner.explore import CrashReport, CrashRun, Explorer

EVENTS = (
    HistoryEvent(1, EventType.EXECUTION_STARTED, 1, id="e"),
    HistoryEvent(2, EventType.EXECUTION_SUCCEEDED, 2, id="e"),
)


def an_operation(id: str, name: str | None, **fields: Any) -> Operation:
    values = {"type": OperationType.STEP, "status": OperationStatus.SUCCEEDED, "start_ms": 1}
    return Operation(**{"id": id, "name": name, **values, **fields})


def an_effect(name: str, key: object = None) -> Effect:
    return Effect("request", name, "{}", key=None if key is None else json.dumps(key))


PAY, SHIP = an_operation("1", "pay"), an_operation("2", "ship")
CLEAN = ExecutionRecord(
    "arn",
    ExecutionStatus.SUCCEEDED,
    function_name="order",
    result='"done"',
    operations=(an_operation("e", "o-1", type=OperationType.EXECUTION), PAY, SHIP),
    events=EVENTS,
    points=(CrashPoint("after-commit:1", "STEP pay SUCCEED", "key 1"),),
)
Played = Callable[[Start], ExecutionRecord]


@dataclass
class Engine:
    """What an `Explorer` needs of one; executions come out as `play` says."""

    play: Played
    workers: int = 1
    calls: list[Any] = field(default_factory=list)
    hosts: list[HostStatus] = field(default_factory=list)

    @property
    def control(self) -> Any:
        return self

    @property
    def attachment(self) -> Any:
        return self

    async def run(self, start: Start, seconds: float) -> ExecutionRecord:
        return self.play(start)

    async def status(self) -> Any:
        return self

    async def start(self, start: Start) -> str:
        self._started = start
        return "arn"

    async def wait(self, arn: str, until: str, seconds: float) -> ExecutionRecord:
        self.calls.append(until)
        return self.play(self._started)

    async def advance(self, arn: str, duration: float, seconds: float) -> None:
        assert duration == 0
        self.calls.append("quiet")

    async def wait_for_callback(self, execution: object, name: str | None, seconds: float) -> str:
        self.calls.append(f"find {name}")
        return f"id of {name}"

    async def callback_success(self, callback_id: str, result: object) -> None:
        self.calls.append((callback_id, result))


def explore(play: Played, depth: int = 1, faults: tuple[str, ...] = (), **how: Any) -> CrashReport:
    return Explorer(Engine(play), Start("order", "{}", faults=faults), 5, **how).explore(depth)


def problems(check: Any = None, **differs: Any) -> tuple[str, ...]:
    """Of a run that comes out otherwise than the clean one in these respects."""

    def play(start: Start) -> ExecutionRecord:
        return replace(CLEAN, **differs) if start.faults else CLEAN

    (run,) = explore(play, check=check).runs
    return run.problems


# -- the judge -------------------------------------------------------------------------------


def test_what_comes_out_the_same_is_right() -> None:
    assert problems() == ()
    assert problems(check=lambda result: None) == ()


@pytest.mark.parametrize(
    ("differs", "problem"),
    [
        ({"result": '"half"'}, 'its result is "half", the clean run\'s "done"'),
        (
            {"status": ExecutionStatus.FAILED, "error": ErrorObject("no", "Refused")},
            "it ended FAILED, the clean run SUCCEEDED: Refused: no",
        ),
        ({"status": ExecutionStatus.TIMED_OUT}, "it ended TIMED_OUT, the clean run SUCCEEDED"),
        ({"operations": CLEAN.operations[:2]}, "step ship is missing"),
        (
            {"operations": (*CLEAN.operations, an_operation("0123456789", None))},
            "step 01234567 is not in the clean run",
        ),
        (
            {"operations": (*CLEAN.operations[:2], replace(SHIP, name=None))},
            "step without a name stands where step ship should",
        ),
        (
            {"operations": (*CLEAN.operations[:2], replace(SHIP, type=OperationType.WAIT))},
            "wait ship stands where step ship should",
        ),
        (
            {"operations": (*CLEAN.operations[:2], replace(SHIP, status=OperationStatus.STARTED))},
            "step ship ended STARTED, in the clean run SUCCEEDED",
        ),
        (
            {"events": (*EVENTS, replace(EVENTS[1], event_id=4))},
            "the history is broken: event ids do not count from 1 without a gap",
        ),
        (
            {"unfired_faults": ("kill@after-commit:1",)},
            "kill@after-commit:1 never fired: this run went another way than the clean one",
        ),
        ({"timed_out": True, "waiting_for": "nothing"}, "it did not end within 5 s; it waits for"),
    ],
)
def test_what_differs_is_named(differs: dict[str, Any], problem: str) -> None:
    found = problems(**differs)
    assert found[0].startswith(problem)


def test_an_execution_that_fails_leaves_operations_under_way() -> None:
    found = problems(
        status=ExecutionStatus.FAILED,
        operations=(*CLEAN.operations[:2], replace(SHIP, status=OperationStatus.STARTED)),
    )
    assert found == ("it ended FAILED, the clean run SUCCEEDED",)


def test_a_check_fails_by_false_or_by_an_exception() -> None:
    def check(result: DurableFunctionTestResult) -> Any:
        if result.result == '"done"':
            return None
        if result.result == '"half"':
            return False
        raise LookupError("gone")

    assert problems(check, result='"half"')[1:] == ("the check returned False",)
    assert problems(check, result='""')[1:] == ("the check failed: LookupError: gone",)


def effect_problems(clean: list[Effect], crashed: list[Effect]) -> list[str]:
    """Each without its table."""

    def play(start: Start) -> ExecutionRecord:
        return replace(CLEAN, effects=tuple(crashed if start.faults else clean))

    (run,) = explore(play).runs
    return [problem.splitlines()[0] for problem in run.problems]


def test_effects_with_a_key_of_their_own_happen_once() -> None:
    keyed, keyless = an_effect("charge", "o-1"), an_effect("charge")
    assert effect_problems([keyed], [keyed, keyed]) == []
    assert effect_problems([keyless, keyless], [keyless, keyless]) == []
    twice = (
        "charge happened twice (in the clean run once); "
        "an idempotency key that stays the same would make it once"
    )
    assert effect_problems([keyless], [keyless, keyless]) == [twice]
    assert effect_problems([keyed], [keyed, an_effect("charge", "o-2")]) == [twice]
    assert effect_problems([keyed], []) == ["charge happened never (in the clean run once)"]
    assert effect_problems([], [keyless] * 3)[0].startswith("charge happened 3 times (in the clean")


# -- the way ---------------------------------------------------------------------------------


def test_each_run_has_the_faults_of_the_first_and_one_more() -> None:
    plans: list[tuple[str, ...]] = []

    def play(start: Start) -> ExecutionRecord:
        plans.append(start.faults)
        return CLEAN

    (run,) = explore(play, faults=("delay@state-read:1",)).runs
    assert plans == [
        ("delay@state-read:1",),
        ("delay@state-read:1", "kill@after-commit:1"),
    ]
    assert (run.faults, run.label) == (("kill@after-commit:1",), "STEP pay SUCCEED")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (
            {"timed_out": True, "waiting_for": "a worker"},
            "it did not end within 5 s; it waits for a",
        ),
        ({"unfired_faults": ("kill@after-commit:9",)}, "kill@after-commit:9 never fired"),
    ],
)
def test_nothing_is_explored_where_the_clean_run_is_wrong(wrong: dict[str, Any], why: str) -> None:
    plans = []

    def play(start: Start) -> ExecutionRecord:
        plans.append(start.faults)
        return replace(CLEAN, **wrong)

    with pytest.raises(AssertionError, match=why):
        explore(play)
    assert plans == [()]


def test_a_clean_run_may_be_one_that_does_not_end() -> None:
    """It is judged by what it should be; a history is only whole at the end."""
    running = replace(CLEAN, status=ExecutionStatus.RUNNING, events=EVENTS[:1])
    assert explore(lambda start: running).failed == 0


def test_a_run_that_the_runner_cannot_make_has_failed() -> None:
    def play(start: Start) -> ExecutionRecord:
        if start.faults:
            raise CoordinatorUnavailable("it is gone")
        return CLEAN

    (run,) = explore(play).runs
    assert (run.problems, run.result) == (("CoordinatorUnavailable: it is gone",), None)


def points(*moments: str) -> tuple[CrashPoint, ...]:
    """ "moment key", each."""
    return tuple(CrashPoint(*each.split()[:1], "", each.split()[1]) for each in moments)


def test_a_second_crash_is_tried_where_what_follows_is_new() -> None:
    after = {
        (): points("before-commit:1 a", "after-commit:1 b"),
        ("kill@before-commit:1",): points(
            "before-commit:1 a", "before-commit:1 c", "after-commit:1 b"
        ),
        ("kill@after-commit:1",): points("before-commit:1 a", "after-commit:1 b", "effect:1 c"),
        ("kill@before-commit:1;times=2",): points(
            "before-commit:1 a", "before-commit:1 c", "effect:1 d"
        ),
    }

    def play(start: Start) -> ExecutionRecord:
        return replace(CLEAN, points=after[start.faults])

    report = explore(play, depth=2)
    assert [run.faults for run in report.runs] == [
        ("kill@before-commit:1",),
        ("kill@after-commit:1",),
        # The same moment once more; what follows the others follows one that was tried.
        ("kill@before-commit:1;times=2",),
    ]
    assert (report.explored, report.pruned) == (3, 2)


def test_what_follows_a_wrong_run_is_not_tried() -> None:
    def play(start: Start) -> ExecutionRecord:
        extra = points("before-commit:9 new")
        wrong = replace(CLEAN, result='"half"', points=(*CLEAN.points, *extra))
        return wrong if start.faults else CLEAN

    assert explore(play, depth=2).explored == 1


def test_an_execution_goes_on_elsewhere_at_each_suspension_and_after_each_crash() -> None:
    waits = (
        # It has been answered within the millisecond.
        an_operation("3", "yes", type=OperationType.CALLBACK, end_ms=5),
        an_operation("4", "nap", type=OperationType.WAIT, start_ms=5, end_ms=9),
        an_operation("5", "again", start_ms=9, end_ms=20),
    )
    times = (1, 5, "PENDING"), (9, 9, "PENDING"), (20, 21, "SUCCEEDED")
    clean = replace(
        CLEAN,
        operations=(CLEAN.operations[0], *waits),
        invocations=tuple(
            InvocationRecord(f"{end}", start_ms=start, end_ms=end, outcome=outcome)
            for start, end, outcome in times
        ),
        points=points("invocation-start:1 a", "invocation-result:1 b", "invocation-start:2 c"),
    )
    starts: list[Start] = []

    def play(start: Start) -> ExecutionRecord:
        starts.append(start)
        return clean

    labels = ({"sdk": "2.0.0"}, {"sdk": "2.5.0"})
    engine = Engine(play, hosts=[HostStatus(f"h-{n}", n, 1, each) for n, each in enumerate(labels)])
    start = Start("order", "{}", labels=labels[0], resume_on=labels[1])
    report = Explorer(engine, start, 5).explore(2)
    went = [
        ((), 1),
        ((), 2),
        (("kill@invocation-start:1",), 1),
        (("kill@invocation-result:1",), 1),
        (("kill@invocation-start:2",), 2),
    ]
    assert [(each.faults, each.resume_after) for each in report.runs] == went
    # The first stays; the others run at once.
    assert starts[0].resume_on == {}
    assert {(each.faults, each.resume_after) for each in starts[1:]} == set(went)
    assert all(each.resume_on == labels[1] for each in starts[1:])
    assert [each.label for each in report.runs[:2]] == ["callback yes, wait nap", "step again"]
    assert report.moved == "with sdk=2.5.0, in place of sdk=2.0.0"


@pytest.mark.parametrize("depth", [0, -1])
def test_no_crash_at_all_is_no_exploration(depth: int) -> None:
    with pytest.raises(ValueError, match="at least one crash is needed"):
        explore(lambda start: CLEAN, depth=depth)


def test_callbacks_are_answered_in_order_once_the_handler_waits() -> None:
    engine = Engine(lambda start: replace(CLEAN, points=()))
    Explorer(engine, Start("order", "{}"), 5, callbacks={"a": 1, "b": 2}).explore(1)
    # Until nothing is skipped to any more.
    looked = ["quiet", "now"] * 2
    assert engine.calls == [
        *(*looked, "find a", "quiet", ("id of a", 1)),
        *(*looked, "find b", "quiet", ("id of b", 2)),
        "ended",
    ]


def test_who_plays_the_outside_world_may_be_too_late() -> None:
    def outside(arn: str) -> None:
        raise OperationNotFound("It ended before.")

    assert explore(lambda start: CLEAN, outside=outside).failed == 0


def test_the_outside_world_is_played_by_one() -> None:
    with pytest.raises(ValueError, match="not both"):
        explore(lambda start: CLEAN, callbacks={"a": 1}, outside=print)


# -- the report ------------------------------------------------------------------------------


def report(*runs: CrashRun, pruned: int = 0) -> CrashReport:
    return CrashReport("order", DurableFunctionTestResult(CLEAN), runs, pruned, 1.25)


def test_a_report_shows_each_failure_with_what_makes_it_again() -> None:
    right = CrashRun(("kill@effect:1",), "charge", (), None)
    wrong = CrashRun(("kill@effect:2",), "", ("lost\ntwo lines", "b", "c", "d", "e"), None)
    pair = CrashRun(("kill@effect:1", "kill@effect:2"), "charge, then ship", ("a",), None)
    assert str(report(right, wrong, pair, pruned=7)).splitlines() == [
        "order · 3 crash points explored: 1 passed, 2 failed, 7 pruned · 1.2 s",
        "",
        'faults="kill@effect:2"',
        "    wrong       lost",
        "                two lines",
        "                b",
        "                c",
        "                … and 2 more",
        "",
        'faults=["kill@effect:1", "kill@effect:2"]',
        "    killed at   charge, then ship",
        "    wrong       a",
        "",
        'To see one again: runner.run(<the same input>, faults="kill@effect:2")',
    ]


def test_a_report_shows_where_a_run_has_gone_on() -> None:
    stopped = CrashRun((), "wait nap", ("lost",), None, 2)
    killed = CrashRun(("kill@effect:1",), "charge", ("lost",), None, 1)
    shown = CrashReport(
        "order", DurableFunctionTestResult(CLEAN), (stopped, killed), 0, 1.25, moved="with b, not a"
    )
    again = "To see one again: runner.run(<the same input>, resume_after=2)"
    assert str(shown).splitlines() == [
        "order · 1 crash points and 1 suspensions explored: 0 passed, 2 failed · 1.2 s",
        "",
        "resume_after=2",
        "    suspended   wait nap",
        "    went on     with b, not a",
        "    wrong       lost",
        "",
        'faults="kill@effect:1", resume_after=1',
        "    killed at   charge",
        "    went on     with b, not a",
        "    wrong       lost",
        "",
        again,
    ]
    assert text_of(shown).endswith(again)


def test_a_long_report_is_cut() -> None:
    text = str(report(*[CrashRun((f"kill@effect:{n}",), "", ("a",), None) for n in range(23)]))
    assert text.count("wrong") == 20
    assert "\n… and 3 more failures\n" in text
