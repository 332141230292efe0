"""The pytest plugin: a runner, and a crash report, for the handler that a marker names.

    @pytest.mark.durable(handler=place_order, workers=2)
    def test_order(durable_runner):
        assert durable_runner.run({"order_id": "o-1"}).result == '"done"'

    @pytest.mark.durable(handler=place_order)
    @pytest.mark.explore_crashes({"order_id": "o-1"}, check=charged_once)
    def test_order_survives(crash_report):
        crash_report.assert_ok()

With `pytest --durable-mode=cloud` the fixture `durable_runner` is a runner for the function as it
is deployed: of the handler's name, or of `function_name` in the marker.

Imports nothing of the runner before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .cloud import DurableFunctionCloudTestRunner
    from .explore import CrashReport
    from .runner import DurableFunctionTestRunner


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("durable functions")
    group.addoption(
        "--durable-mode",
        choices=("local", "cloud"),
        default="local",
        help="Where durable_runner runs handlers: in worker processes, or where they are deployed.",
    )
    group.addoption("--durable-endpoint", metavar="URL", help="Lambda's, in cloud mode.")
    group.addoption("--durable-region", metavar="REGION", help="Of the functions, in cloud mode.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "durable(handler, **options): what the fixture durable_runner runs, and the options of "
        "its DurableFunctionTestRunner.",
    )
    config.addinivalue_line(
        "markers",
        "explore_crashes(input, **options): the arguments of explore_crashes for the fixture "
        "crash_report.",
    )


@pytest.fixture
def durable_runner(
    request: pytest.FixtureRequest,
) -> Iterator[DurableFunctionTestRunner | DurableFunctionCloudTestRunner]:
    """An open runner for the handler of the marker `durable`: a `DurableFunctionTestRunner`, or
    with --durable-mode=cloud a `DurableFunctionCloudTestRunner`."""
    marker = request.node.get_closest_marker("durable")
    if marker is None:
        raise pytest.UsageError(
            "The fixture durable_runner needs @pytest.mark.durable(handler=...) on the test, "
            "its class or its module."
        )
    if request.config.getoption("--durable-mode") == "cloud":
        with _cloud_runner(request.config, *marker.args, **marker.kwargs) as cloud:
            yield cloud
        return
    from .runner import DurableFunctionTestRunner

    with DurableFunctionTestRunner(*marker.args, **marker.kwargs) as runner:
        yield runner


def _cloud_runner(
    config: pytest.Config,
    handler: Callable[..., Any],
    *,
    function_name: str | None = None,
    **local_only: Any,
) -> DurableFunctionCloudTestRunner:
    from .cloud import DurableFunctionCloudTestRunner
    from .functions import function_name_of

    return DurableFunctionCloudTestRunner(
        function_name or function_name_of(handler),
        region=config.getoption("--durable-region"),
        lambda_endpoint=config.getoption("--durable-endpoint"),
    )


@pytest.fixture
def crash_report(
    request: pytest.FixtureRequest, durable_runner: DurableFunctionTestRunner
) -> CrashReport:
    """What exploring every crash point found, with the arguments of the marker."""
    if request.config.getoption("--durable-mode") == "cloud":
        pytest.skip("Crashes are explored with workers of one's own, in local mode.")
    marker = request.node.get_closest_marker("explore_crashes")
    arguments = ((), {}) if marker is None else (marker.args, marker.kwargs)
    return durable_runner.explore_crashes(*arguments[0], **arguments[1])
