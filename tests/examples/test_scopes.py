from __future__ import annotations

import pytest

pytest.importorskip("async_durable_execution", minversion="2.5.0")

from async_durable_execution import OperationStatus

from .scopes import ship_or_undo


@pytest.mark.parametrize(
    ("strike", "outcome", "actions"),
    [
        (False, "shipped", ["unlock-warehouse"]),
        (True, "undone: nothing moves", ["refund", "release-stock", "unlock-warehouse"]),
    ],
)
def test_actions_run_when_the_scope_ends(runner_for, strike, outcome, actions):
    order = {"item": "lamp", "amount": 4500, "strike": strike}
    result = runner_for(ship_or_undo).run(input=order, timeout=30)

    assert result.get_deserialized_result() == outcome
    shipment = result.get_context("shipment")
    assert shipment.sub_type.value == "TerminalScope"
    assert shipment.status is (OperationStatus.FAILED if strike else OperationStatus.SUCCEEDED)
    assert [child.name for child in shipment.child_operations] == [
        "reserve",
        "charge",
        "collection-day",
        "ship",
        *actions,
    ]
    # The wait ended an invocation, but not the scope: nothing was undone on its account.
    collected = shipment.get_wait("collection-day").end_timestamp
    assert all(shipment.get_step(action).start_timestamp >= collected for action in actions)
