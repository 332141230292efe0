from __future__ import annotations

import pytest

pytest.importorskip("async_durable_execution", minversion="2.1.0")

from .recursion import load_truck


def test_function_calls_itself(runner_for):
    result = runner_for(load_truck).run(input={"parcels": [3, 1, 4, 1, 5]}, timeout=30)

    assert result.get_deserialized_result() == {"weight": 14, "depth": 3}
    assert [operation.name for operation in result.operations] == ["left", "right"]
    assert result.get_invoke("left").result == '{"weight": 4, "depth": 2}'
