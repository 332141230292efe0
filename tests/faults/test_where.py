"""Each place at which a fault can strike, with real processes; and plans that never do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from async_durable_execution_runner import (
    AsyncDurableFunctionTestRunner,
    DurableFunctionTestRunner,
    Fault,
    FaultNeverFired,
    InvalidParameterValue,
)

from . import handlers

pytestmark = pytest.mark.processes

#: Where the worker is killed, the moment at which that is, and in which invocation.
PLACES = [
    ("before-commit:2", "before-commit:2", 1),
    ("after-commit:4", "after-commit:4", 2),
    ("before-commit:name=p*,action=SUCCEED", "before-commit:3", 2),
    ("after-commit:type=WAIT", "after-commit:2", 1),
    ("before-commit:subtype=Step,attempt=1,n=2", "before-commit:3", 2),
    ("state-read:2", "state-read:2", 2),
    ("invocation-start:2", "invocation-start:2", 2),
    ("invocation-result:1", "invocation-result:1", 1),
    ("effect:ch*", "effect:1", 1),
    ("effect:1", "effect:1", 1),
    ("time:0", "invocation-start:1", 1),
    ("time:10", "invocation-start:2", 2),
]


@pytest.mark.parametrize(("where", "moment", "invocation"), PLACES)
def test_the_worker_dies_there(
    runner: DurableFunctionTestRunner, where: str, moment: str, invocation: int
):
    result = runner.run({}, faults=f"kill@{where}")
    assert result.result == handlers.ORDERED
    assert [(each.moment, each.invocation) for each in result.faults] == [(moment, invocation)]
    failed = [n for n, each in enumerate(result.invocations, start=1) if each.error is not None]
    assert failed == [invocation]


def test_at_its_time_it_dies_also_where_nothing_is_said(tmp_path: Path):
    with DurableFunctionTestRunner(handlers.sleeps_once, workers=1) as runner:
        result = runner.run({"marker": str(tmp_path / "slept")}, faults="kill@time:0.5")
    assert result.result == '"awake"'
    assert [each.moment for each in result.faults] == ["time:1"]


def test_chance_strikes_the_same_moments_every_time(runner: DurableFunctionTestRunner):
    runs = [runner.run({}, faults="kill@random:0.3,seed=5") for _ in range(2)]
    moments = [[each.moment for each in run.faults] for run in runs]
    assert moments[0] == moments[1]
    assert len(moments[0]) > 1
    assert {run.result for run in runs} == {handlers.ORDERED}


def test_the_same_plan_gives_the_same_history(runner: DurableFunctionTestRunner):
    plan = ["kill@before-commit:3", "freeze@after-commit:4", "exit=2@invocation-start:1"]
    histories = [
        [
            (each.event_type, each.name, each.details.get("result"), _kind(each.details))
            for each in runner.run({}, execution_name=f"run-{number}", faults=plan).history[1:-1]
        ]
        for number in range(3)
    ]
    assert histories[0] == histories[1] == histories[2]


def _kind(details: dict) -> str | None:
    error = details.get("error")
    return error.type if error else None


def test_a_plan_of_objects_is_a_plan_of_texts(runner: DurableFunctionTestRunner):
    result = runner.run({}, faults=[Fault.parse("kill@after-commit:1"), "exit=1@after-commit:2"])
    assert [each.fault for each in result.faults] == [
        "kill@after-commit:1",
        "exit=1@after-commit:2",
    ]


def test_a_fault_that_never_fired_fails_the_run(runner: DurableFunctionTestRunner):
    with pytest.raises(FaultNeverFired, match="kill@after-commit:99") as raised:
        runner.run({}, faults=["kill@after-commit:99", "kill@after-commit:1"])
    assert "kill@after-commit:1," not in str(raised.value).splitlines()[0]
    handle = runner.start({}, faults="kill@after-commit:99")
    with pytest.raises(FaultNeverFired):
        handle.result()


def test_a_fault_that_never_fired_says_which_moments_there_were(runner: DurableFunctionTestRunner):
    points = [each.moment for each in runner.crash_points({})]
    assert {"before-commit:1", "after-commit:1"} <= set(points)
    with pytest.raises(FaultNeverFired) as raised:
        runner.run({}, faults="kill@after-commit:99")
    last = sum(each.startswith("after-commit") for each in points)
    first_line = str(raised.value).splitlines()[0]
    assert f"which had {len(points)} moments (" in first_line
    assert f"after-commit:1 to after-commit:{last}" in first_line
    assert first_line.endswith("; runner.crash_points(input) lists them.")


def test_chance_need_not_strike(runner: DurableFunctionTestRunner):
    result = runner.run({}, faults="kill@random:0.000001")
    assert result.unfired_faults == ["kill@random:1e-06,seed=0"]


def test_a_runners_plan_is_for_all_its_executions():
    with DurableFunctionTestRunner(handlers.order, workers=2, faults="kill@after-commit:1") as each:
        results = each.run_many([{}, {}])
    assert [len(result.invocations) for result in results] == [3, 3]


def test_a_runners_plan_that_no_execution_met_fails_its_end():
    results = []
    with (
        pytest.raises(FaultNeverFired, match="kill@after-commit:99") as raised,
        DurableFunctionTestRunner(
            handlers.order, workers=1, faults=["kill@after-commit:99", "kill@random:0.000001"]
        ) as each,
    ):
        results.append(each.run({}))
    # At the end, and not in an execution that is only one of them.
    assert [result.result for result in results] == [handlers.ORDERED]
    assert "random" not in str(raised.value)


def test_a_runners_plan_does_not_hide_what_else_went_wrong():
    with (
        pytest.raises(ZeroDivisionError),
        DurableFunctionTestRunner(handlers.order, workers=1, faults="kill@after-commit:99"),
    ):
        raise ZeroDivisionError


def test_a_bad_plan_is_refused_before_anything_runs(runner: DurableFunctionTestRunner):
    with pytest.raises(InvalidParameterValue, match="Unknown fault 'crash'"):
        runner.run({}, faults="crash@after-commit:1")
    with pytest.raises(InvalidParameterValue, match="Unknown place"):
        DurableFunctionTestRunner(handlers.order, faults=["kill@nowhere"])


async def test_the_asynchronous_runner_takes_plans_too():
    async with AsyncDurableFunctionTestRunner(handlers.order, workers=2) as runner:
        results = await asyncio.gather(
            runner.run({}, faults="kill@after-commit:1"), runner.run({}, faults="exit=4@effect:1")
        )
    assert [result.result for result in results] == [handlers.ORDERED] * 2
    assert [len(result.faults) for result in results] == [1, 1]
