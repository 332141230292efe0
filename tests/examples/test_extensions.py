from __future__ import annotations

from datetime import timedelta

import pytest

pytest.importorskip("async_durable_execution", minversion="2.3.0")

from .extensions import collect_parcels, unload_truck


def test_custom_step_keeps_its_state(runner_for):
    result = runner_for(collect_parcels).run(input={"parcels": 25}, timeout=30)

    assert result.get_deserialized_result() == {"left": 0, "rounds": 3}
    collect = result.get_step("collect")
    assert (collect.sub_type, collect.attempt) == ("acme.Collect", 3)
    assert timedelta(hours=8) <= collect.duration < timedelta(hours=9)


def test_custom_context(runner_for):
    result = runner_for(unload_truck).run(input={}, timeout=30)

    assert result.result == '"unloaded"'
    dock = result.get_context("dock-7")
    assert dock.sub_type == "acme.Dock"
    assert [child.name for child in dock.child_operations] == ["dock-7-opens", "unload"]
    opening = dock.get_wait("dock-7-opens")
    assert (opening.sub_type, opening.duration) == ("acme.DockOpens", timedelta(hours=9))
