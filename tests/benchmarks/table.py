"""The table that is printed: what was measured, its ratio, and the bar for that."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Measured(NamedTuple):
    text: str
    #: What the bar is for: a ratio, or the figure itself.
    value: float


def compared(mine: float, theirs: float, *, inverse: bool = False) -> Measured:
    """Two lengths of time in seconds, and how often the second goes into the first.

    Args:
        mine: The time that is under test.
        theirs: What it is compared with.
        inverse: Whether the ratio is to say how many times as fast `mine` is.
    """
    unit, factor = ("s", 1) if max(mine, theirs) >= 1 else ("ms", 1000)
    text = f"{mine * factor:.2f} / {theirs * factor:.2f} {unit}"
    return Measured(text, theirs / mine if inverse else mine / theirs)


def in_turns(
    mine: Callable[[], float], theirs: Callable[[], float], times: int
) -> tuple[float, float]:
    """Both measured in turns, so that both see the same machine; the turn of the median ratio."""
    turns = [(mine(), theirs()) for _ in range(times)]
    return sorted(turns, key=lambda turn: turn[0] / turn[1])[times // 2]


def median_of(measure: Callable[[], float], times: int) -> float:
    return statistics.median(measure() for _ in range(times))


class Table:
    def __init__(self, *settings: str) -> None:
        """Print the head, with a column for each of `settings`; the bars are for the first."""
        self.missed = 0
        columns = "".join(f"{name:>28}" for name in settings)
        print(f"{'what, against what':<66}{columns}{'bar':>9}")

    def row(self, what: str, columns: Sequence[Measured], bar: float, least: bool) -> None:
        value = columns[0].value
        good = value >= bar if least else value <= bar
        self.missed += not good
        cells = "".join(f"{each.text:>20}{each.value:>8.2f}" for each in columns)
        sign = ">=" if least else "<="
        mark = "" if good else "  MISSED"
        print(f"{what:<66}{cells:<56}{sign:>4}{bar:>5g}{mark}", flush=True)
