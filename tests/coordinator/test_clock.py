"""How far a virtual clock is ahead of the real time."""

from __future__ import annotations

import time

import pytest

from async_durable_execution_runner.coordinator.clock import VirtualClock, real_ms


@pytest.mark.parametrize("epoch_ms", [None, 0, 5_000_000_000_000])
def test_a_clock_knows_how_far_it_is_ahead_whatever_it_did(epoch_ms: int | None) -> None:
    clock = VirtualClock(epoch_ms)
    if epoch_ms is None:
        assert clock.ahead_ms == 0
    clock.stop()
    stopped = real_ms()
    while real_ms() < stopped + 30:
        time.sleep(0.001)
    clock.go()
    clock.jump(clock.now() + 86_400_000)
    assert clock.now() - real_ms() == pytest.approx(clock.ahead_ms, abs=5)
