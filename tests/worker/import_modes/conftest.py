"""Hands the handlers that the tests of this project describe to the test that runs it."""

import os
from pathlib import Path

import pytest

from async_durable_execution_runner.worker.loading import describe


@pytest.fixture
def travel():
    def travel(name, handler):
        code = describe(handler).SerializeToString()
        Path(os.environ["CODES"], f"{name}.code").write_bytes(code)

    return travel
