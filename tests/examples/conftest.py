"""Every example runs twice: in worker processes, and inline in this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner

RunnerFor = Callable[..., DurableFunctionTestRunner]


@pytest.fixture(params=[pytest.param("worker", marks=pytest.mark.processes), "inline"])
def isolation(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def runner_for(isolation: str) -> Iterator[RunnerFor]:
    """`with DurableFunctionTestRunner(handler=handler, workers=2, ...) as runner`, for the test."""
    with ExitStack() as stack:

        def open_runner(handler: Any, **options: Any) -> DurableFunctionTestRunner:
            runner = DurableFunctionTestRunner(
                handler=handler, workers=2, isolation=isolation, **options
            )
            return stack.enter_context(runner)

        yield open_runner
