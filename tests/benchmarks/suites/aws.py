"""The tests of `ours.py`, written for AWS's runner, which skips waits unless told otherwise."""

import json

import pytest
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner
from official import steps_and_wait


@pytest.mark.parametrize("number", range(200))
def test_steps_and_wait(number):
    with DurableFunctionTestRunner(handler=steps_and_wait, poll_interval=0.001) as runner:
        result = runner.run(input=json.dumps({"steps": 5}))
    assert result.status.value == "SUCCEEDED"
    assert result.result == "5"
