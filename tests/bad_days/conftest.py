from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from async_durable_execution_runner import DurableFunctionTestRunner

from .misdeeds import misbehave
from .tree import unknown_descendants

RunnerFor = Callable[..., DurableFunctionTestRunner]


class Begun:
    """A named pipe on which handlers say that they have begun."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        # For writing too, so that nobody has to wait for the other end.
        self._fd = os.open(path, os.O_RDWR)

    def wait(self, times: int = 1, seconds: float = 20.0) -> bool:
        """Wait until it was said so often; False where it was not in time."""
        deadline = time.monotonic() + seconds
        while times:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._fd], [], [], left)[0]:
                return False
            times -= len(os.read(self._fd, times))
        return True

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture(autouse=True)
def _alone(own_cluster: None) -> None:
    """The bad days are those of this process's cluster only."""


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Begun]:
    pipe = Begun(tmp_path / "begun")
    yield pipe
    pipe.close()


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
