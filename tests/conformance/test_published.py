"""Every published requirement, in worker processes: status, result, history and logs."""

from __future__ import annotations

import pytest

from .cases import Case, published
from .deployments import DEPLOYMENTS
from .driver import Driver, RunnerDriver, check

# Earlier ones name some contexts otherwise and stop batches later.
pytest.importorskip("async_durable_execution", minversion="2.5.0")

CASES = published()
pytestmark = pytest.mark.processes


@pytest.fixture(params=["worker", "invocation"])
def driver(request: pytest.FixtureRequest) -> Driver:
    return RunnerDriver(DEPLOYMENTS, request.param)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_requirement(case: Case, driver: Driver) -> None:
    if case.id not in DEPLOYMENTS:
        pytest.skip("no handler was written for it")

    check(case, driver)
