"""Aligned columns of text, and effects in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from .operations import brief, shorten

if TYPE_CHECKING:
    from .ledger import Effect

T = TypeVar("T")

#: How many siblings of the tree, invocations or effects are shown.
_SHOWN_ITEMS = 50


def elide(items: Sequence[T]) -> list[T | str]:
    """All items, or the first and the last with a word on how many are in between."""
    left_out = len(items) - _SHOWN_ITEMS
    if left_out <= 1:
        return list(items)
    half = _SHOWN_ITEMS // 2
    return [*items[:half], f"… {left_out} more", *items[-half:]]


def effects_table(effects: Sequence[Effect]) -> Iterator[str]:
    """A line for each effect, and one where an invocation failed after its last effect."""
    header = ("effects", "key", "data", "function", "operation", "attempt", "invocation", "")
    several = len({(each.execution_arn, each.function_name) for each in effects}) > 1
    ends = {each.request_id: each for each in effects if each.invocation_error is not None}
    shown = elide(effects)
    rows = [
        (each, *[""] * 7) if isinstance(each, str) else _effect_row(each, several) for each in shown
    ]
    heading, *lines = table(header, rows)
    yield heading
    for line, each in zip(lines, shown, strict=True):
        yield line
        if not isinstance(each, str) and ends.get(each.request_id) is each:
            assert each.invocation_error is not None
            yield f"  ^ invocation {each.invocation} failed: {brief(each.invocation_error)}"


def _effect_row(effect: Effect, several: bool) -> tuple[str, ...]:
    remarks = []
    if effect.outside_step:
        remarks.append("outside a step: every replay repeats it")
    if effect.stale:
        remarks.append("after the end of its invocation")
    operation = effect.operation_name or (effect.operation_id or "")[:8]
    return (
        effect.name,
        "" if effect.key is None else shorten(json.dumps(effect.key, ensure_ascii=False), 40),
        shorten(json.dumps(effect.data, ensure_ascii=False), 60) if effect.data else "",
        effect.function_name if several else "",
        operation,
        "" if effect.attempt is None else str(effect.attempt),
        str(effect.invocation),
        "; ".join(remarks),
    )


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    lines = [header, *rows]
    # A column in which no row has anything to say is left out.
    shown = [index for index in range(len(header)) if any(row[index] for row in rows)]
    widths = {index: max(len(row[index]) for row in lines) for index in shown}
    for row in lines:
        yield "  ".join(row[index].ljust(widths[index]) for index in shown).rstrip()
