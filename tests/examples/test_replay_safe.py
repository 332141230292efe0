from __future__ import annotations

import json

import pytest

pytest.importorskip("async_durable_execution", minversion="2.1.0")

from .replay_safe import draw_winner


def test_the_values_of_the_first_invocation_are_the_values(runner_for):
    result = runner_for(draw_winner).run(input={"customers": ["ann", "bob"]}, timeout=30)

    drawn = result.get_deserialized_result()
    read = result.get_operation_deserialized_result
    chance = json.loads(result.get_step("chance").result)
    assert drawn == {
        "drawn_at": read(result.get_step("drawn-at")).isoformat(),
        "stamp": json.loads(result.get_step("stamp").result),
        "winner": ["ann", "bob"][int(chance * 2)],
        "prize_id": str(read(result.get_step("prize-id"))),
    }
    assert len(result.invocations) == 2
