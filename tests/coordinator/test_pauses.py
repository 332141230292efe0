"""The coordinator never stops for long, however many objects it holds."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from async_durable_execution_runner.coordinator.server import collect_garbage_in_small_parts


@pytest.fixture
def collector() -> Iterator[None]:
    """The garbage collector, as it was afterwards."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_no_collection_looks_through_more_objects_than_take_some_milliseconds() -> None:
    collect_garbage_in_small_parts()
    looked_through = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            parts = range(info["generation"] + 1)
            looked_through.append(sum(len(gc.get_objects(part)) for part in parts))

    gc.callbacks.append(note)
    try:
        kept = [[number] for number in range(600_000)]
    finally:
        gc.callbacks.remove(note)
    assert len(looked_through) > len(kept) / 20_000
    assert max(looked_through) < 50_000
