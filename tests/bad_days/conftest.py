from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner

from .misdeeds import misbehave
from .tree import unknown_descendants

RunnerFor = Callable[..., DurableFunctionTestRunner]


@pytest.fixture
def runner_for() -> Iterator[RunnerFor]:
    """Runners that are closed at the end; then no process is left that is not the cluster's."""
    with ExitStack() as stack:

        def open_runner(handler: Any = misbehave, **options: Any) -> DurableFunctionTestRunner:
            options = {"workers": 2, "invocation_retries": 1} | options
            return stack.enter_context(DurableFunctionTestRunner(handler=handler, **options))

        yield open_runner
    with DurableFunctionTestRunner(handler=misbehave, workers=1) as runner:
        assert runner.run({}).result == '"fine"'
        assert unknown_descendants(runner) == []
