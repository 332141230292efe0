"""The official SDK's own plugins, held to the published requirements on plugins."""

from __future__ import annotations

import pytest

# Before, plugins are provisional.
pytest.importorskip(
    "aws_durable_execution_sdk_python",
    minversion="2.0",
    reason="the official SDK, the extra [aws], is not installed, or is older",
)
# For the handlers of the other requirements, which come along.
pytest.importorskip("async_durable_execution", minversion="2.5.0")

from conformance.cases import Case, published
from conformance.driver import RunnerDriver, check
from conformance.handlers.deployment import Deployment

from .plugins import REQUIREMENTS

DEPLOYMENTS = {case_id: Deployment(handler) for case_id, handler in REQUIREMENTS.items()}
CASES = [case for case in published() if case.id in DEPLOYMENTS]
pytestmark = pytest.mark.processes


@pytest.mark.parametrize("isolation", ["worker", "invocation", "inline"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_requirement(case: Case, isolation: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    check(case, RunnerDriver(DEPLOYMENTS, isolation))
