"""A large document is taken if Python's own parser takes it, and no other."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from async_durable_execution_runner.core.text import load_json
from async_durable_execution_runner.gateway import json_text

SCALARS = (1, 0, -1, 1.5, 1e30, True, None, "", "a", '\u00e9\n"\\', "x" * 300, [], {})
PIECES = (*'[]{},:"\\0123.eE-+ntfu \n\x01', "", "NaN", "Infinity", "true", "\\ud800")


def document(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth > 4 or kind < 0.5:
        return chance.choice(SCALARS)
    if kind < 0.75:
        return [document(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    names = (f"{number}{chance.choice(('', chr(34), chr(92)))}" for number in range(3))
    return {name: document(chance, depth + 1) for name in names}


def taken(check: Callable[[str], Any], text: str) -> bool:
    try:
        check(text)
    except (ValueError, RecursionError):
        return False
    return True


def test_it_agrees_with_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "SMALL", 0)
    chance = random.Random(13)
    agreed = []
    for _ in range(3000):
        text = json.dumps(document(chance), indent=chance.choice((None, 1)))
        for _ in range(chance.choice((0, 1, 2))):
            start = chance.randint(0, len(text))
            text = text[:start] + chance.choice(PIECES) + text[start + chance.choice((0, 1, 2)) :]
        agreed.append(taken(load_json, text))
        assert taken(json_text.check, text) is agreed[-1], text
    assert 500 < sum(agreed) < 2500


@pytest.mark.parametrize("text", ["[" * 1_000_000, '{"a":' * 200_000])
def test_a_document_that_is_nested_too_deeply(text: str) -> None:
    with pytest.raises(RecursionError):
        json_text.check(text)


@pytest.mark.parametrize(
    ("value", "few"),
    [
        (["x"] * 19_999, True),
        (["x" * 9] * 20_001, False),
        ('"' * 1_000_001, False),
        ([{}] * 50_000, False),
        # What is within texts does not count.
        ('[{,"\\' * 50_000, True),
        ({"Payload": json.dumps(list(range(50_000)))}, True),
    ],
)
async def test_values_are_counted_without_the_texts(value: Any, few: bool) -> None:
    assert await json_text.has_few_values(json.dumps(value).encode()) is few
