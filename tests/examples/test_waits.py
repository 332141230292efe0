from __future__ import annotations

from datetime import timedelta

from .waits import remind, wait_for_the_slower


def test_months_pass_in_no_time(runner_for):
    result = runner_for(remind).run(input={"invoice": "i-1"}, timeout=30)

    assert result.get_deserialized_result() == [
        "reminder 1 for i-1",
        "reminder 2 for i-1",
        "reminder 3 for i-1",
    ]
    assert [result.get_wait(f"month-{month}").duration.days for month in (1, 2, 3)] == [30, 30, 30]
    assert timedelta(days=90) <= result.duration < timedelta(days=91)
    assert len(result.invocations) == 4


def test_waits_side_by_side(runner_for):
    result = runner_for(wait_for_the_slower).run(input={"order_id": "o-1"}, timeout=30)

    assert result.result == '"o-1 has left"'
    assert result.get_wait("packing").duration == timedelta(hours=6)
    assert result.get_wait("customs").duration == timedelta(days=2)
    assert timedelta(days=2) <= result.duration < timedelta(days=2, hours=6)
