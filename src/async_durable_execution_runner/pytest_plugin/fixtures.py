"""The fixtures: runners of a marker's handler or of any other, a crash report, the pool."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from . import exploring, options

if TYPE_CHECKING:
    from ..client.control import RunnerStatus
    from ..runner.blocking import DurableFunctionTestRunner
    from ..runner.cloud import DurableFunctionCloudTestRunner
    from ..runner.engine import Engine
    from ..runner.explore import CrashReport

    Runner = DurableFunctionTestRunner | DurableFunctionCloudTestRunner


@pytest.fixture
def make_durable_runner(request: pytest.FixtureRequest) -> Iterator[Callable[..., Runner]]:
    """A function that opens a runner for any handler, and takes what `DurableFunctionTestRunner`
    takes. The runners are closed after the test, the last one first."""
    with ExitStack() as opened:

        def make(*args: Any, **kwargs: Any) -> Runner:
            runner = _runner(request.config, args, kwargs)
            opened.enter_context(runner)
            exploring.watch(request.node, runner)
            return runner

        yield make


@pytest.fixture
def durable_runner(
    request: pytest.FixtureRequest, make_durable_runner: Callable[..., Runner]
) -> Runner:
    """An open runner for the handler of the marker `durable`: a `DurableFunctionTestRunner`, or
    with --durable-mode=cloud a `DurableFunctionCloudTestRunner`."""
    marker = request.node.get_closest_marker("durable")
    if marker is None:
        raise pytest.UsageError(
            "The fixture durable_runner needs @pytest.mark.durable(handler=...) on the test, "
            "its class or its module."
        )
    return make_durable_runner(*marker.args, **marker.kwargs)


def _runner(config: pytest.Config, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Runner:
    from ..runner.blocking import DurableFunctionTestRunner

    if not options.is_cloud(config):
        return DurableFunctionTestRunner(*args, **{**options.of_runner(config), **kwargs})
    # Options of workers do not apply where the function is deployed.
    from ..aws.api import make_client
    from ..runner.cloud import DurableFunctionCloudTestRunner
    from ..runner.registration import function_name_of

    given = inspect.signature(DurableFunctionTestRunner).bind(*args, **kwargs).arguments
    return DurableFunctionCloudTestRunner(
        given.get("function_name") or function_name_of(given["handler"]),
        client=make_client(
            options.value(config, "region"),
            options.value(config, "endpoint"),
            options=("--durable-region", "--durable-endpoint"),
        ),
    )


@pytest.fixture
def crash_report(
    request: pytest.FixtureRequest, durable_runner: DurableFunctionTestRunner
) -> CrashReport:
    """The report on all crash points of the handler, explored with the marker's arguments."""
    if options.is_cloud(request.config):
        pytest.skip("Crashes are explored with workers of one's own, in local mode.")
    marker = request.node.get_closest_marker("explore_crashes")
    arguments = ((), {}) if marker is None else (marker.args, marker.kwargs)
    return durable_runner.explore_crashes(*arguments[0], **arguments[1])


class DurablePool:
    """The coordinator and the worker processes that all runners of the session share."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def status(self) -> RunnerStatus:
        """The processes, and how much they have to do."""
        from ..client.drive import drive

        return drive(self._engine.status())


@pytest.fixture(scope="session")
def durable_pool(request: pytest.FixtureRequest) -> Iterator[DurablePool]:
    """The pool that all runners share, under pytest-xdist those of all its workers."""
    if options.is_cloud(request.config):
        pytest.skip("There is no pool in cloud mode.")
    from ..client.settings import FunctionSettings
    from ..runner.engine import Engine
    from ..runner.registration import Attachment

    engine = Engine(Attachment(FunctionSettings()))
    engine.open()
    try:
        yield DurablePool(engine)
    finally:
        engine.close()
