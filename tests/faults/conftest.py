from __future__ import annotations

from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner

from . import handlers


@pytest.fixture
def runner(make_durable_runner: Any) -> DurableFunctionTestRunner:
    """Of `handlers.order`, with the others registered under their names."""
    runner: DurableFunctionTestRunner = make_durable_runner(handlers.order, workers=2)
    runner.register_durable_function("careful", handlers.careful)
    runner.register_durable_function("allocates", handlers.allocates)
    return runner
