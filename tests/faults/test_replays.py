"""`replay_every_checkpoint`: an ordinary test that finds what leans on the process."""

from __future__ import annotations

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner, NonDeterministicHandler

from . import handlers

pytestmark = pytest.mark.processes


def test_it_kills_after_each_checkpoint_and_costs_no_retries():
    with DurableFunctionTestRunner(
        handlers.order, workers=2, invocation_retries=0, retry_backoff=60
    ) as runner:
        result = runner.run({}, replay_every_checkpoint=True)
    assert result.result == handlers.ORDERED
    assert [each.moment for each in result.faults] == [f"after-commit:{n}" for n in (1, 2, 3, 4)]
    assert result.duration.total_seconds() < 60
    assert len({each.pid for each in result.invocations}) == 5


@pytest.mark.usefixtures("own_cluster")
def test_it_finds_state_in_a_module():
    with DurableFunctionTestRunner(handlers.remembers_in_the_module, workers=2) as runner:
        assert runner.run({"order": "a"}).result == "3"
        assert runner.run({"order": "b"}, replay_every_checkpoint=True).result == "0"


def test_it_finds_a_decision_by_chance_with_both_sides():
    with (
        DurableFunctionTestRunner(handlers.decides_by_chance, workers=2) as runner,
        pytest.raises(NonDeterministicHandler, match=r"gift 0\.\d+") as raised,
    ):
        runner.run({}, replay_every_checkpoint=True)
    assert "handlers.py:" in str(raised.value)


def test_it_passes_what_leans_on_nothing():
    with DurableFunctionTestRunner(handlers.remembers_in_results, workers=2) as runner:
        assert runner.run({"order": "b"}, replay_every_checkpoint=True).result == "3"
    with DurableFunctionTestRunner(handlers.decides_once, workers=2) as runner:
        assert runner.run({}, replay_every_checkpoint=True).result == '"packed"'


def test_a_run_without_a_checkpoint_has_nothing_to_replay():
    with DurableFunctionTestRunner(handlers.does_nothing, workers=1) as runner:
        assert runner.run({}, replay_every_checkpoint=True).result == "null"
