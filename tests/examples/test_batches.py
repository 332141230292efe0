from __future__ import annotations

from datetime import timedelta

import async_durable_execution
import pytest
from async_durable_execution import BatchResult, OperationStatus

from .batches import cheapest_courier, ship_all, ship_flat, ship_what_can_be


def branches(result, batch):
    return {
        branch.name: branch.status.value for branch in result.get_context(batch).child_operations
    }


def test_map_runs_its_branches_side_by_side(runner_for):
    result = runner_for(ship_all).run(input={"parcels": ["a", "b", "c"]}, timeout=30)

    assert result.get_deserialized_result() == {
        "results": ["a posted", "b posted", "c posted"],
        "errors": [],
        "reason": "ALL_COMPLETED",
    }
    assert branches(result, "ship") == dict.fromkeys(["ship-a", "ship-b", "ship-c"], "SUCCEEDED")
    assert result.get_context("ship-b").get_step("post-b").result == '"b posted"'
    assert timedelta(hours=1) <= result.duration < timedelta(hours=2)


@pytest.mark.skipif(
    not hasattr(async_durable_execution, "flow"),
    reason="before SDK 2.2 a branch that is suspended gives way to the next",
)
def test_map_with_limited_concurrency(runner_for):
    result = runner_for(ship_all).run(input={"parcels": ["a", "b", "c"], "at_once": 1}, timeout=30)

    assert result.get_deserialized_result()["results"] == ["a posted", "b posted", "c posted"]
    assert timedelta(hours=3) <= result.duration < timedelta(hours=4)
    a, b, c = (result.get_context(f"ship-{parcel}") for parcel in "abc")
    assert a.end_timestamp <= b.start_timestamp < b.end_timestamp <= c.start_timestamp


@pytest.mark.parametrize(
    ("tolerated", "tried", "reason"),
    [
        (None, 2, "FAILURE_TOLERANCE_EXCEEDED"),
        (1, 4, "FAILURE_TOLERANCE_EXCEEDED"),
        (2, 5, "ALL_COMPLETED"),
    ],
)
def test_map_tolerates_failures_up_to_a_number(runner_for, tolerated, tried, reason):
    parcels = ["a", "lost-1", "b", "lost-2", "c"]
    result = runner_for(ship_what_can_be).run(
        input={"parcels": parcels, "tolerated": tolerated}, timeout=30
    )

    assert result.get_deserialized_result() == {
        "results": [f"{parcel} posted" for parcel in parcels[:tried] if "lost" not in parcel],
        "errors": [parcel for parcel in parcels[:tried] if "lost" in parcel],
        "reason": reason,
    }
    ended = {
        name: status for name, status in branches(result, "ship").items() if status != "STARTED"
    }
    assert ended == {
        f"ship-{parcel}": "FAILED" if "lost" in parcel else "SUCCEEDED"
        for parcel in parcels[:tried]
    }
    batch = result.get_context("ship").deserialized_result
    assert isinstance(batch, BatchResult)
    assert batch.get_results() == result.get_deserialized_result()["results"]
    assert [error.message for error in batch.get_errors()] == [
        parcel for parcel in parcels[:tried] if "lost" in parcel
    ]
    assert batch.completion_reason.name == reason
    assert ' ["a posted", FAILED' in result.describe()


def test_parallel_stops_when_enough_have_succeeded(runner_for):
    couriers = {"bike": 1, "van": 2, "ship": 900}
    result = runner_for(cheapest_courier).run(input={"couriers": couriers}, timeout=30)

    assert result.get_deserialized_result() == {
        "results": ["bike", "van"],
        "errors": [],
        "reason": "MIN_SUCCESSFUL_REACHED",
    }
    assert list(branches(result, "quotes").values()) == ["SUCCEEDED", "SUCCEEDED", "STARTED"]
    assert result.get_wait("ship-thinks").status is OperationStatus.STARTED
    assert timedelta(hours=2) <= result.duration < timedelta(hours=3)


def test_flat_map_records_no_branches(runner_for):
    result = runner_for(ship_flat).run(input={"parcels": ["a", "b"]}, timeout=30)

    assert result.get_deserialized_result()["results"] == ["a posted", "b posted"]
    assert sorted(branches(result, "ship")) == ["post-a", "post-b"]
