from __future__ import annotations

from datetime import timedelta

import pytest

pytest.importorskip("async_durable_execution", minversion="2.2.0")

from .flows import make_offer, settle


def test_flow_runs_nodes_as_their_inputs_become_ready(runner_for):
    result = runner_for(make_offer).run(input={"item": "lamp", "country": "here"}, timeout=30)

    assert result.get_deserialized_result() == 47
    goods, carriage, total = (
        result.get_context("offer").get_context(name) for name in ("goods", "carriage", "total")
    )
    assert goods.get_step("price").result == "40"
    assert carriage.get_wait("ask-carrier").duration == timedelta(hours=3)
    # All nodes are on record from the start; each runs when what it needs is there.
    assert goods.end_timestamp < carriage.end_timestamp <= total.end_timestamp


@pytest.mark.parametrize(
    ("amount", "outcome"),
    [
        (10, {"invoice": "skipped", "thanks": "thank you"}),
        (1000, {"invoice": "invoice, for: no credit for 1000", "thanks": "skipped"}),
    ],
)
def test_flow_takes_the_route_that_the_outcome_asks_for(runner_for, amount, outcome):
    result = runner_for(settle).run(input={"amount": amount}, timeout=30)

    assert result.get_deserialized_result() == outcome
    card = result.get_step("card")
    assert (card.error is None) is (amount == 10)
