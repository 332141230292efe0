from __future__ import annotations

import logging

from .logs import pay_in_two_parts


def test_each_line_is_said_once_by_the_invocation_that_meant_it(runner_for, caplog):
    runner = runner_for(pay_in_two_parts)
    with caplog.at_level(logging.INFO):
        result = runner.run(input={"order_id": "o-1", "amount": 100}, timeout=30)

    first, second = (
        [record.message for record in invocation.logs if record.logger.endswith("logs")]
        for invocation in result.invocations
    )
    assert first == ["order o-1", "charging 50"]
    assert second == ["second part", "charging 50"]
    assert "charging 50" in caplog.messages
    assert result.invocations[1].stdout == "paid in full\n"
    assert result.get_step("second").result == "null"
