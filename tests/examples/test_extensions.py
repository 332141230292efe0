from __future__ import annotations

import threading
from datetime import timedelta

import pytest

pytest.importorskip("async_durable_execution", minversion="2.3.0")

from async_durable_execution_runner import DurableFunctionTestRunner

from .extensions import collect_parcels, import_parcel, unload_truck


def test_custom_step_keeps_its_state(runner_for):
    result = runner_for(collect_parcels).run(input={"parcels": 25}, timeout=30)

    assert result.get_deserialized_result() == {"left": 0, "rounds": 3}
    collect = result.get_step("collect")
    assert (collect.sub_type, collect.attempt) == ("acme-Collect", 3)
    assert timedelta(hours=8) <= collect.duration < timedelta(hours=9)


def test_custom_context(runner_for):
    result = runner_for(unload_truck).run(input={}, timeout=30)

    assert result.result == '"unloaded"'
    dock = result.get_context("dock-7")
    assert dock.sub_type == "acme-Dock"
    assert [child.name for child in dock.child_operations] == ["dock-7-opens", "unload"]
    opening = dock.get_wait("dock-7-opens")
    assert (opening.sub_type, opening.duration) == ("acme-DockOpens", timedelta(hours=9))


def customs(event, context):
    return {"duty": 7, "for": event["parcel"]}


def test_custom_chained_invoke_and_callback(runner_for):
    runner = runner_for(import_parcel)
    runner.register_function("customs", customs)
    execution = runner.start({"parcel": "p-1"})
    runner.send_callback_success(execution.wait_for_callback("import-signature"), "Ada")
    result = execution.result()

    assert result.get_deserialized_result() == {
        "quote": {"duty": 7, "for": "p-1"},
        "signed_by": "Ada",
    }
    parts = ("import-quote", "import-signature", "pay")
    assert [result.get_operation_by_name(name).sub_type for name in parts] == [
        *("acme-Quote", "acme-Signature", "acme-Pay")
    ]
    (effect,) = result.ledger
    assert (effect.operation_name, effect.attempt, effect.outside_step) == ("pay", 1, False)


@pytest.mark.processes
def test_custom_operations_survive_a_death_at_every_point():
    with DurableFunctionTestRunner(import_parcel, workers=2) as runner:
        runner.register_function("customs", customs)
        report = runner.explore_crashes({"parcel": "p-1"}, callbacks={"import-signature": "Ada"})
    report.assert_ok()
    tried = {run.faults for run in report.runs}
    assert ("kill@effect:1",) in tried


@pytest.mark.processes
def test_an_exploration_answers_when_all_that_was_invoked_has_ended():
    def slow_customs(event, context):
        # Longer than it takes to answer.
        threading.Event().wait(0.2)
        return customs(event, context)

    with DurableFunctionTestRunner(import_parcel, workers=2) as runner:
        runner.register_function("customs", slow_customs)
        report = runner.explore_crashes({"parcel": "p-1"}, callbacks={"import-signature": "Ada"})
    report.assert_ok()
    ends = [event.event_type for event in report.clean.history if event.event_type.endswith("ed")]
    assert ends.index("ChainedInvokeSucceeded") < ends.index("CallbackSucceeded")
