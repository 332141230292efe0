"""How long the first answers to checkpoints with a `ClientToken` are kept."""

from __future__ import annotations

from async_durable_execution_runner.core.commands import Reply
from async_durable_execution_runner.core.events import Checkpoint
from async_durable_execution_runner.core.repeats import Repeats

QUARTER = 15 * 60 * 1000


def remember(repeats: Repeats, client_token: str, now_ms: int) -> None:
    repeats.remember(client_token, Checkpoint(now_ms, "token", ()), Reply("next", []))


def test_an_answer_is_kept_as_long_as_it_may_be_asked_for() -> None:
    repeats = Repeats()
    remember(repeats, "first", 0)
    remember(repeats, "second", QUARTER)
    assert list(repeats) == ["first", "second"]
    assert repeats.first(Checkpoint(QUARTER, "token", (), "first")) is not None


def test_an_answer_that_nobody_may_ask_for_any_more_is_forgotten() -> None:
    """However many there are; those that are younger stay."""
    repeats = Repeats()
    for now_ms in (0, 1, 2):
        remember(repeats, f"at {now_ms}", now_ms)
    remember(repeats, "late", QUARTER + 2)
    assert list(repeats) == ["at 2", "late"]
