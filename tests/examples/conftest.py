"""Every example runs twice: in worker processes, and inline in this one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner

RunnerFor = Callable[..., DurableFunctionTestRunner]


@pytest.fixture(params=[pytest.param("worker", marks=pytest.mark.processes), "inline"])
def isolation(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def runner_for(isolation: str, make_durable_runner: RunnerFor) -> RunnerFor:
    """An open `DurableFunctionTestRunner(handler, workers=2, ...)`, for the test."""
    return partial(make_durable_runner, workers=2, isolation=isolation)
