"""Every published requirement again: `durable-runner serve`, unmodified boto3, real time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .cases import SUITE, Case
from .driver import check
from .handlers import DEPLOYMENTS
from .http_driver import served
from .test_published import CASES

pytest.importorskip("async_durable_execution", minversion="2.5.0")

pytestmark = [
    pytest.mark.processes,
    # They mostly wait, so all are under way at once, in one test.
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CASES, reason=f"no requirements in {SUITE}"),
]
_AT_ONCE = 16


@pytest.mark.parametrize("isolation", ["worker", "invocation"])
def test_requirements(isolation: str, tmp_path: Path) -> None:
    cases = [case for case in CASES if case.id in DEPLOYMENTS]
    deployments = {case.id: DEPLOYMENTS[case.id] for case in cases}
    with (
        served(
            deployments, tmp_path, "--workers", str(_AT_ONCE), "--isolation", isolation
        ) as driver,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):

        def problem(case: Case) -> str | None:
            try:
                check(case, driver)
            except Exception as error:
                return f"{case}: {error}"
            return None

        found = [each for each in pool.map(problem, cases) if each]
    assert not found, "\n\n".join(found)
