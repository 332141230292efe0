"""Every published requirement, in worker processes: status, result, history and logs."""

from __future__ import annotations

import json

import pytest

from .cases import SUITE, Case, published
from .driver import Driver, Observation, RunnerDriver
from .handlers import DEPLOYMENTS
from .matching import Bindings, history_problems, log_problems, problems

# Earlier ones name some contexts otherwise and stop batches later.
pytest.importorskip("async_durable_execution", minversion="2.5.0")

CASES = published()
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not CASES, reason=f"no requirements in {SUITE}"),
]


@pytest.fixture(params=["worker", "invocation"])
def driver(request: pytest.FixtureRequest) -> Driver:
    return RunnerDriver(DEPLOYMENTS, request.param)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_requirement(case: Case, driver: Driver) -> None:
    if case.id not in DEPLOYMENTS:
        pytest.skip("no handler was written for it")
    check(case, driver)


def check(case: Case, driver: Driver) -> None:
    """`AssertionError` with all that is otherwise than required."""

    def done(seen: Observation) -> bool:
        return not history_problems(case.history, seen.history, Bindings())

    seen = driver.drive(case, done)
    names = Bindings()
    found = history_problems(case.history, seen.history, names)
    found += log_problems(case.logs, seen.logs, names)
    if case.result is not None:
        actual = {"ExecutionStatus": seen.status}
        if "Result" in case.result:
            actual["Result"] = json.loads(seen.result) if seen.result else None
        found += problems(case.result, actual, names, "result")
    assert not found, "\n".join([*found, *map(str, seen.history), *map(str, seen.logs)])
