"""Fixtures of all tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner


@pytest.fixture
def runner_of() -> Iterator[Any]:
    runners: list[DurableFunctionTestRunner] = []

    def open_runner(handler: Any, **options: Any) -> DurableFunctionTestRunner:
        runner = DurableFunctionTestRunner(handler=handler, **{"workers": 2, **options})
        runners.append(runner.__enter__())
        return runner

    yield open_runner
    for runner in runners:
        runner.__exit__(None, None, None)
