"""200 tests, each of an execution of five steps and a wait."""

import pytest
from handlers import steps_and_wait


@pytest.mark.durable(handler=steps_and_wait)
@pytest.mark.parametrize("number", range(200))
def test_steps_and_wait(durable_runner, number):
    result = durable_runner.run({"steps": 5})
    assert result.status.value == "SUCCEEDED"
    assert result.result == "5"
