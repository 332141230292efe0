from __future__ import annotations

from datetime import timedelta

import async_durable_execution
import pytest
from async_durable_execution import OperationStatus

from .conditions import await_payment, follow_parcel


def test_state_is_carried_from_look_to_look(runner_for):
    result = runner_for(follow_parcel).run(input={"order_id": "o-1"}, timeout=30)

    route = ["warehouse", "harbour", "customs", "delivered"]
    assert result.get_deserialized_result() == {"order_id": "o-1", "route": route}
    parcel = result.get_step("parcel")
    assert parcel.attempt == 4
    assert parcel.sub_type.value == "WaitForCondition"
    # After 6, 12 and 18 hours.
    assert timedelta(hours=36) <= parcel.duration < timedelta(hours=37)


@pytest.mark.skipif(
    not hasattr(async_durable_execution, "WaitForConditionError"),
    reason="before SDK 2.2 the strategy ends with the last state instead of an error",
)
def test_condition_that_never_comes_true(runner_for):
    result = runner_for(await_payment).run(input={"invoice": "i-1"}, timeout=30)

    assert result.result == '"i-1 goes to collection"'
    paid = result.get_step("paid")
    assert (paid.status, paid.attempt) == (OperationStatus.FAILED, 3)
    assert timedelta(days=14) <= paid.duration < timedelta(days=15)
