"""Every published requirement again, through unmodified boto3 and in real time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from .cases import SUITE, Case
from .driver import check
from .handlers import DEPLOYMENTS
from .http_driver import HttpDriver
from .test_published import CASES

pytest.importorskip("async_durable_execution", minversion="2.5.0")

pytestmark = [
    pytest.mark.processes,
    # They mostly wait, so all are under way at once, in one test.
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CASES, reason=f"no requirements in {SUITE}"),
]
_AT_ONCE = 6


@pytest.mark.parametrize("isolation", ["worker", "invocation"])
def test_requirements(isolation: str) -> None:
    driver = HttpDriver(DEPLOYMENTS, isolation)

    def problem(case: Case) -> str | None:
        try:
            check(case, driver)
        except Exception as error:
            return f"{case}: {error}"
        return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        cases = [case for case in CASES if case.id in DEPLOYMENTS]
        found = [each for each in pool.map(problem, cases) if each]
    assert not found, "\n\n".join(found)
