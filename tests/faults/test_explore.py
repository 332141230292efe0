"""Exploring every crash point: what is tried, how it is judged, and the planted bugs it finds."""

from __future__ import annotations

from typing import Any

import pytest

from async_durable_execution_runner import (
    AsyncDurableFunctionTestRunner,
    CrashReport,
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
    ExecutionHandle,
)

from . import handlers

pytestmark = pytest.mark.processes


def explore(handler: Any, input: Any = None, **options: Any) -> CrashReport:
    with DurableFunctionTestRunner(handler, workers=2) as runner:
        return runner.explore_crashes(input, **options)


def test_every_point_of_a_run_is_tried_once():
    report = explore(handlers.order, {})
    report.assert_ok()
    assert [run.faults for run in report.runs] == [
        ("kill@invocation-start:1",),
        ("kill@effect:1",),
        ("kill@before-commit:1",),
        ("kill@after-commit:1",),
        ("kill@before-commit:2",),
        ("kill@after-commit:2",),
        ("kill@invocation-result:1",),
        ("kill@invocation-start:2",),
        ("kill@before-commit:3",),
        ("kill@after-commit:3",),
        ("kill@before-commit:4",),
        ("kill@after-commit:4",),
        ("kill@invocation-result:2",),
    ]
    assert (report.explored, report.passed, report.failed, report.pruned) == (13, 13, 0, 0)
    assert str(report).startswith("order · 13 crash points explored: 13 passed, 0 failed · ")


def test_a_hundred_points_with_a_map_and_a_callback():
    report = explore(handlers.long_order, {}, callbacks={"approval": "yes"})
    report.assert_ok()
    assert report.clean.result == '"yes"'
    assert report.explored > 50


def test_pairs_are_tried_where_they_lead_to_something_new():
    report = explore(handlers.order, {}, depth=2)
    report.assert_ok()
    pairs = [run.faults for run in report.runs[13:]]
    # Twice in the body of the same step: its effect is there twice, and nothing is durable.
    assert ("kill@before-commit:1;times=2",) in pairs
    assert ("kill@effect:1", "kill@before-commit:1") in pairs
    # After another commit all is as after that commit alone.
    assert ("kill@after-commit:1", "kill@after-commit:3") not in pairs
    assert report.pruned > len(pairs) > 0
    assert f"{report.pruned} pruned" in str(report)


def test_outside_plays_the_outside_world():
    def outside(execution: ExecutionHandle) -> None:
        callback_id = execution.wait_for_callback("approval")
        execution.run_until_suspended()
        runner.send_callback_success(callback_id, "by hand")

    with DurableFunctionTestRunner(handlers.approved_order, workers=2) as runner:
        report = runner.explore_crashes({}, outside=outside)
    report.assert_ok()
    assert report.clean.result == '"by hand"'


async def test_the_asynchronous_runner_explores_too():
    async with AsyncDurableFunctionTestRunner(handlers.order, workers=2) as runner:
        report = await runner.explore_crashes({})
    report.assert_ok()
    assert report.explored == 13


def test_the_users_own_check_judges_each_run():
    def two_invocations(result: DurableFunctionTestResult) -> None:
        assert len(result.invocations) == 2, f"{len(result.invocations)} invocations"

    report = explore(handlers.order, {}, check=two_invocations)
    # A death before anything was waited for costs an invocation.
    assert report.failed > 5
    assert "the check failed: AssertionError: 3 invocations" in report.failures[0].problems[0]
    with pytest.raises(AssertionError, match="3 invocations"):
        report.assert_ok()


def test_a_clean_run_that_fails_is_right_where_a_check_says_so():
    unchecked = explore(handlers.refuses, {})
    assert (unchecked.failed, unchecked.ok) == (0, False)
    with pytest.raises(AssertionError, match="if that is how it should end, say so with check="):
        unchecked.assert_ok()
    report = explore(handlers.refuses, {}, check=lambda result: result.error.message == "no stock")
    report.assert_ok()
    assert report.explored
    assert str(report).splitlines()[1:] == ["the clean run ended FAILED: ValueError: no stock"]


# -- planted bugs --------------------------------------------------------------------------


def test_a_double_charge_is_found():
    report = explore(handlers.charges_twice, {})
    assert {run.faults for run in report.failures} == {
        ("kill@effect:1",),
        ("kill@before-commit:1",),
    }
    text = str(report)
    assert 'faults="kill@effect:1"' in text
    assert "charge happened twice (in the clean run once)" in text


def test_a_charge_with_a_key_of_its_own_is_none():
    explore(handlers.charges_once, {"order": "o-1"}, depth=2).assert_ok()


def test_a_decision_by_chance_is_found():
    report = explore(handlers.decides_by_chance, {})
    assert report.failed
    assert "not deterministic" in str(report)


def test_a_decision_in_a_step_is_none():
    explore(handlers.decides_once, {}).assert_ok()


def test_a_step_that_is_never_awaited_is_an_error():
    with pytest.raises(AssertionError, match="is `await` missing"):
        explore(handlers.forgets_to_await, {})


def test_state_in_a_module_is_found():
    report = explore(handlers.remembers_in_the_module, {"order": "o-1"})
    assert report.failed == 6
    assert "its result is 2, the clean run's 3" in str(report)


def test_state_in_results_is_none():
    explore(handlers.remembers_in_results, {"order": "o-1"}).assert_ok()


@pytest.mark.parametrize(
    ("handler", "input"),
    [(handlers.charges_twice, {}), (handlers.remembers_in_the_module, {"order": "o-2"})],
)
def test_a_failure_is_there_again_each_time_that_it_is_reproduced(handler: Any, input: Any):
    with DurableFunctionTestRunner(handler, workers=2) as runner:
        report = runner.explore_crashes(input)
        failure = report.failures[0]
        assert failure.reproduction == f'faults="{failure.faults[0]}"'
        for number in range(3):
            # A new order each time: what a warm process knows of the others is no part of it.
            again = {**input, "order": f"again-{number}"}
            result = runner.run(again, faults=failure.faults)
            assert (result.result, len(result.ledger)) == (
                failure.result.result,
                len(failure.result.ledger),
            )
