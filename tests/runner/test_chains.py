"""Functions that invoke each other, as the test that runs them sees it."""

from __future__ import annotations

from typing import Any

import pytest
from async_durable_execution import durable_execution, invoke

pytestmark = pytest.mark.processes


@durable_execution
async def ping(event: Any) -> Any:
    return await invoke("pong", event)


@durable_execution
async def pong(event: Any) -> Any:
    return await invoke("ping", event)


def test_functions_that_invoke_each_other_without_end_are_a_time_out(runner_of: Any) -> None:
    runner = runner_of(ping, workers=1)
    runner.register_durable_function("pong", pong)
    with pytest.raises(TimeoutError) as caught:
        runner.run(timeout=2)
    assert "did not end within 2 s; it waits for the chained invoke, chained " in str(caught.value)
    assert " deep: ping → pong → ping → pong → …, whose execution arn:" in str(caught.value)


def test_an_unregistered_function_comes_with_the_call_that_registers_it(runner_of: Any) -> None:
    text = runner_of(ping, workers=1).run().describe()
    assert "ResourceNotFoundException: Function not found: arn:" in text
    assert "'pong' is not registered with this runner: runner.register_durable_function(" in text
