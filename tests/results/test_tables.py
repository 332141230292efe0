"""Columns, and what is left out of long ones."""

from __future__ import annotations

import pytest

from async_durable_execution_runner.results.tables import elide, table


@pytest.mark.parametrize("count", [0, 1, 50, 51])
def test_a_word_on_what_is_left_out_takes_the_place_of_at_least_two(count: int) -> None:
    assert elide(range(count)) == list(range(count))


@pytest.mark.parametrize(("count", "left_out"), [(52, 2), (53, 3), (1000, 950)])
def test_the_first_and_the_last_are_shown(count: int, left_out: int) -> None:
    first, last = range(25), range(count - 25, count)
    assert elide(range(count)) == [*first, f"… {left_out} more", *last]


def test_columns_are_as_wide_as_they_need_and_empty_ones_are_left_out() -> None:
    rows = [("a", "", "1"), ("long", "", "")]
    assert list(table(("name", "nothing", "n"), rows)) == ["name  n", "a     1", "long"]
