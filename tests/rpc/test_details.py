"""The text of a status, of which no more may be said than a peer takes."""

from __future__ import annotations

import pytest

from async_durable_execution_runner.rpc import details


@pytest.mark.parametrize("text", ["", "Not found: é\n%41", "x" * 7000, "\N{SLICE OF PIZZA}" * 583])
def test_what_fits_is_said_word_for_word(text: str) -> None:
    assert details(text) == text


@pytest.mark.parametrize("letter", ["x", "é", "%", "\n", "\N{SLICE OF PIZZA}"])
@pytest.mark.parametrize("length", [7001, 1_000_000])
def test_what_does_not_fit_loses_its_middle(letter: str, length: int) -> None:
    """Each byte that gRPC escapes takes three."""
    cut = details(f"It begins so: {letter * length} and ends thus.")
    assert cut.startswith(f"It begins so: {letter}")
    assert cut.endswith(f"{letter} and ends thus.")
    escaped = len(cut) if letter == "x" else 3 * len(cut.encode())
    assert 3000 < escaped <= 7200
