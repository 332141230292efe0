"""The comparison itself, on made-up events: one that passes everything would be none."""

from __future__ import annotations

import pytest

from .cases import fill, read
from .matching import Bindings, history_problems, log_problems, problems


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("*", None),
        ({}, "anything"),
        (2, 2),
        (None, None),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {}}, {"a": {"b": 1}}),
        (["*", 2], [1, 2]),
        ("${/^Hel+o/}", "Hello, World"),
        ("${/4/}", 1847),
        ({"a": "${X}", "b": "${X}"}, {"a": 1, "b": 1}),
    ],
)
def test_as_expected(expected: object, actual: object) -> None:
    assert problems(expected, actual, Bindings()) == []


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (2, "2"),
        (1, True),
        (None, ""),
        ({"a": "*"}, {"b": 1}),
        ({"a": {}}, {}),
        ([1], [1, 2]),
        ([1, 2], [1, 3]),
        ("${/^Hello$/}", "Hello, World"),
        ({"a": "${X}", "b": "${X}"}, {"a": 1, "b": 2}),
        ({"a": 1}, None),
    ],
)
def test_not_as_expected(expected: object, actual: object) -> None:
    assert len(problems(expected, actual, Bindings())) == 1


def test_events_are_paired_by_id_and_others_ignored() -> None:
    events = [{"EventId": n, "EventType": f"T{n}"} for n in (1, 2, 3)]
    assert history_problems([{"EventId": 2, "EventType": "T2"}], events, Bindings()) == []
    assert history_problems([{"EventId": 4, "EventType": "T4"}], events, Bindings()) == [
        "4 T4 is missing"
    ]


def test_log_records_are_counted_in_order() -> None:
    records = [{"m": "one", "n": 1}, {"m": "two", "n": 1}, {"m": "two", "n": 2}]
    fine = [
        {"match": {"m": "two"}, "count": 2},
        {"match": {"m": "/^t/", "n": "${N}"}, "min_count": 1},
        {"match": {"n": 1}, "max_count": 2},
        {"match": {"m": "two"}, "after": [{"m": "one"}]},
        {"match": {"m": "three"}, "count": 0},
    ]
    assert log_problems(fine, records, Bindings(N="/[12]/")) == []
    wrong = [
        {"match": {"m": "two"}, "count": 1},
        {"match": {"m": "three"}, "min_count": 1},
        {"match": {"n": 1}, "max_count": 1},
        {"match": {"m": "one"}, "after": [{"m": "two"}]},
    ]
    assert [len(log_problems([each], records, Bindings())) for each in wrong] == [1, 1, 1, 1]


def test_variables_are_filled_in_within_text_and_the_rest_is_left() -> None:
    assert fill({"a": ["x ${A}", "${B}", 3]}, {"A": "y"}) == {"a": ["x y", "${B}", 3]}


def test_generated_text_is_the_same_wherever_it_is_named(tmp_path) -> None:
    folder = tmp_path / "step"
    folder.mkdir()
    path = folder / "1-99.yaml"
    path.write_text(
        "Variables: {A: '${GEN_STR:8}'}\n"
        "Input: ${A}\n"
        "ExpectedResult: {Result: 'got ${A}'}\n"
        "ExpectedExecutionHistory: [{EventId: 2, Id: '${ID1}'}]\n"
    )
    case = read(path)
    assert str(case) == "step-1-99"
    assert len(case.input) == 8
    assert case.input.isalnum()
    assert case.result == {"Result": f"got {case.input}"}
    assert case.history == [{"EventId": 2, "Id": "${ID1}"}]
