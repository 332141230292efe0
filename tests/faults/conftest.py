from __future__ import annotations

from collections.abc import Iterator

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner

from . import handlers


@pytest.fixture
def runner() -> Iterator[DurableFunctionTestRunner]:
    """Of `handlers.order`, with the others registered under their names."""
    with DurableFunctionTestRunner(handlers.order, workers=2) as runner:
        runner.register_durable_function("careful", handlers.careful)
        runner.register_durable_function("allocates", handlers.allocates)
        yield runner
