"""What stands in for functions that are not there."""

from __future__ import annotations

from typing import Any

import pytest
from async_durable_execution import ErrorObject

from async_durable_execution_runner import (
    MockFunction,
)


def test_a_mock_returns_its_result_and_records_its_calls() -> None:
    mock = MockFunction("f", result={"paid": True})
    assert mock({"amount": 1}, None) == {"paid": True}
    assert mock("again", None) == {"paid": True}
    assert mock.calls == [{"amount": 1}, "again"]
    assert mock.call_count == 2


class Declined(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "type_name", "message"),
    [
        (Declined("no"), "Declined", "no"),
        (Declined, "Declined", ""),
        ("plain words", "RuntimeError", "plain words"),
        (
            ErrorObject(message="closed", type="BankHoliday", data=None, stack_trace=None),
            "BankHoliday",
            "closed",
        ),
    ],
)
def test_a_mock_raises_its_error(error: Any, type_name: str, message: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        MockFunction("f", error=error)({}, None)
    assert type(caught.value).__name__ == type_name
    assert str(caught.value) == message


def test_a_mock_calls_its_side_effect_with_the_payload() -> None:
    assert MockFunction("f", side_effect=lambda payload: payload["n"] + 1)({"n": 1}, None) == 2


def test_a_mock_gives_one_outcome_after_the_other() -> None:
    mock = MockFunction("f", side_effect=[1, Declined("no"), Declined, None])
    assert mock({}, None) == 1
    for _ in range(2):
        with pytest.raises(Declined):
            mock({}, None)
    assert mock({}, None) is None
    with pytest.raises(RuntimeError, match="was called 5 times"):
        mock({}, None)


def test_a_mock_has_one_way_of_answering() -> None:
    with pytest.raises(ValueError, match="not several"):
        MockFunction("f", result=1, error="x")
    with pytest.raises(TypeError, match="cannot be sent as JSON"):
        MockFunction("f", result=object())
