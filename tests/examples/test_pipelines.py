from __future__ import annotations

import json

import pytest

pytest.importorskip("async_durable_execution", minversion="2.4.0")

from .pipelines import archive_order, publish_catalogue


def test_pipeline_compresses(runner_for):
    result = runner_for(publish_catalogue).run(input={"pages": 1000}, timeout=30)

    assert result.get_deserialized_result() == 1000
    stored = result.get_step("write").result
    assert stored.startswith("zlib:")
    assert len(stored) < 1000


def test_large_payloads_go_to_shared_files(runner_for, tmp_path):
    result = runner_for(archive_order).run(input={"directory": str(tmp_path)}, timeout=30)

    assert result.get_deserialized_result() == {"small": 1, "large": 50}
    small = json.loads(result.get_step("small").result)
    large = json.loads(result.get_step("large").result)
    assert "file" not in small
    assert large["preview"] == {"order_id": "o-2", "card": "***"}
    assert large["ownerDurableExecutionArn"] == result.execution_arn
    (stored,) = tmp_path.rglob("*.payload")
    assert str(stored) == large["file"]
    assert len(json.loads(stored.read_text())["scans"]) == 50
