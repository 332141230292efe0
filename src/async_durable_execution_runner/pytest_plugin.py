"""The pytest plugin: a runner, and a crash report, for the handler that a marker names.

    @pytest.mark.durable(handler=place_order, workers=2)
    def test_order(durable_runner):
        assert durable_runner.run({"order_id": "o-1"}).result == '"done"'

    @pytest.mark.durable(handler=place_order)
    @pytest.mark.explore_crashes({"order_id": "o-1"}, check=charged_once)
    def test_order_survives(crash_report):
        crash_report.assert_ok()

Imports nothing of the runner before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .explore import CrashReport
    from .runner import DurableFunctionTestRunner


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
def durable_runner(request: pytest.FixtureRequest) -> Iterator[DurableFunctionTestRunner]:
    """An open `DurableFunctionTestRunner` for the handler of the marker `durable`."""
    from .runner import DurableFunctionTestRunner

    marker = request.node.get_closest_marker("durable")
    if marker is None:
        raise pytest.UsageError(
            "The fixture durable_runner needs @pytest.mark.durable(handler=...) on the test, "
            "its class or its module."
        )
    with DurableFunctionTestRunner(*marker.args, **marker.kwargs) as runner:
        yield runner


@pytest.fixture
def crash_report(
    request: pytest.FixtureRequest, durable_runner: DurableFunctionTestRunner
) -> CrashReport:
    """What exploring every crash point found, with the arguments of the marker."""
    marker = request.node.get_closest_marker("explore_crashes")
    arguments = ((), {}) if marker is None else (marker.args, marker.kwargs)
    return durable_runner.explore_crashes(*arguments[0], **arguments[1])
