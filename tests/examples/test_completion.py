from __future__ import annotations

from datetime import timedelta

import pytest

pytest.importorskip("async_durable_execution", minversion="2.1.0")

from .completion import ask_board


def test_custom_completion(runner_for):
    result = runner_for(ask_board).run(input={"board": ["ann", "bob", "cy", "di"]}, timeout=30)

    assert result.get_deserialized_result() == {
        "votes": ["ann: yes", "bob: yes"],
        "reason": "CUSTOM_COMPLETION_SUCCEEDED",
    }
    assert timedelta(days=2) <= result.duration < timedelta(days=3)
    assert result.get_wait("cy-thinks").end_timestamp is None
