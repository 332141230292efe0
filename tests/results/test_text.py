"""The words for durations, and how much of what handlers write is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from async_durable_execution_runner.core.model import OutputLine, OutputStream
from async_durable_execution_runner.core.text import visible
from async_durable_execution_runner.results.operations import shorten
from async_durable_execution_runner.results.result import DurableFunctionTestResult
from async_durable_execution_runner.results.text import duration_text

from .test_result import INVOCATION, RECORD


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1 s"),
        (1250, "1.25 s"),
        (59_999, "60 s"),
        (60_000, "1 min"),
        (90_000, "1 min 30 s"),
        (3_600_000, "1 h"),
        (86_400_000 + 1000, "1 d"),
        (3 * 86_400_000 + 4 * 3_600_000, "3 d 4 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(ms: int, text: str) -> None:
    assert duration_text(timedelta(milliseconds=ms)) == text


def test_what_fits_is_not_shortened() -> None:
    assert shorten("x" * 10, 10) == "x" * 10
    assert shorten("x" * 11, 10) == "x" * 9 + "…"


def lines_shown(written: int) -> list[str]:
    """What is described of an invocation whose handler wrote that many lines."""
    return described([f"line {n}" for n in range(written)])


def described(written: list[str]) -> list[str]:
    lines = tuple(OutputLine(OutputStream.STDOUT, line) for line in written)
    record = replace(RECORD, invocations=[replace(INVOCATION, output=lines)])
    text = DurableFunctionTestResult(record).describe()
    return [line.strip() for line in text.splitlines() if line.startswith("     | ")]


@pytest.mark.parametrize(("written", "left_out"), [(10, 0), (11, 0), (12, 2), (13, 3)])
def test_the_last_ten_lines_are_shown_and_how_many_more_there_are(
    written: int, left_out: int
) -> None:
    """A single line more is shown: a note in its place would be no shorter."""
    note = [f"| … {left_out} more lines"] if left_out else []
    assert lines_shown(written) == [*note, *(f"| line {n}" for n in range(left_out, written))]


@pytest.mark.parametrize(("length", "left_out"), [(12, 0), (13, 0), (14, 2)])
def test_twelve_lines_of_a_stack_are_shown_and_how_many_more_there_are(
    length: int, left_out: int
) -> None:
    dump = "\n".join(f"frame {n}" for n in range(length))
    stuck = replace(INVOCATION, stacks=("before", dump), verdict="stuck", output=())
    text = DurableFunctionTestResult(replace(RECORD, invocations=[stuck])).describe()
    note = [f"       … {left_out} more lines"] if left_out else []
    shown = [line for line in text.splitlines() if line.startswith("       ")]
    assert shown == [*(f"       frame {n}" for n in range(length - left_out)), *note]


@pytest.mark.parametrize(
    ("after", "shown", "left_out"), [(1, 9, 6), (8, 2, 13), (9, 0, 15), (10, 0, 15)]
)
def test_of_a_long_traceback_the_first_lines_are_shown(
    after: int, shown: int, left_out: int
) -> None:
    """The heading is not shown by itself."""
    frames = [f'  File "/app/flow.py", line {n}, in charge' for n in range(12)]
    trace = ["Traceback (most recent call last):", *frames, "KeyError: 'card'"]
    last = [f"line {n}" for n in range(after)]
    lines = [*trace[:shown], f"… {left_out} more lines", *last]
    assert described(["hi", *trace, *last]) == [f"| {line}" for line in lines]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["ab", "ab"], [1, "a", "b", 2, "2: the same"]),
        (["x", "ab", "ab", "ab", "c"], [1, "x", 2, "a", "b", 3, 4, "3 to 4: the same", 5, "c"]),
        (["ab", "ac", "ab"], [1, "a", "b", 2, "a", "c", 3, "a", "b"]),
        # One line is no longer than what would stand in its place.
        (["a", "a", "", ""], [1, "a", 2, "a", 3, 4]),
    ],
)
def test_what_attempts_in_a_row_have_all_written_is_shown_once(
    written: list[str], shown: list[int | str]
) -> None:
    invocations = [
        replace(INVOCATION, output=tuple(OutputLine(OutputStream.STDOUT, each) for each in line))
        for line in written
    ]
    text = DurableFunctionTestResult(replace(RECORD, invocations=invocations)).describe()
    lines = text[text.index("invocations ") :].splitlines()[1:]
    rows = [f"     | {each}" if isinstance(each, str) else f"{each:>3}  " for each in shown]
    for line, row in zip(lines[: len(rows)], rows, strict=True):
        assert line == row if "|" in row else line.startswith(row)


def test_what_a_terminal_would_obey_is_described_escaped() -> None:
    hostile = "\x1b]0;owned\x07 \x9b2J \u202e"
    lines = (OutputLine(OutputStream.STDOUT, hostile),)
    record = replace(
        RECORD,
        function_name=hostile,
        invocations=[replace(INVOCATION, output=lines)],
        waiting_for=hostile,
    )
    result = DurableFunctionTestResult(record)
    for text in (result.describe(), str(result), repr(result)):
        assert r"\x1b]0;owned\x07 \x9b2J \u202e" in text
        assert visible(text) == text
