"""Every published requirement again: `durable-runner serve`, unmodified boto3, real time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest

from .cases import Case
from .deployments import DEPLOYMENTS
from .driver import check
from .http_driver import HttpDriver, served
from .test_published import CASES

pytest.importorskip("async_durable_execution", minversion="2.5.0")

pytestmark = [
    pytest.mark.processes,
    # They mostly wait, so all are under way at once, in one test.
    pytest.mark.timeout(300),
]
#: For each isolation, of cases and of workers.
_AT_ONCE = 16


def test_requirements(tmp_path: Path) -> None:
    cases = [case for case in CASES if case.id in DEPLOYMENTS]
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2 * _AT_ONCE))

        def begin(isolation: str) -> HttpDriver:
            options = ("--workers", str(_AT_ONCE), "--isolation", isolation)
            deployments = {case.id: DEPLOYMENTS[case.id] for case in cases}
            return stack.enter_context(served(deployments, tmp_path / isolation, *options))

        def problem(isolation: str, driver: HttpDriver, case: Case) -> str | None:
            try:
                check(case, driver)
            except Exception as error:
                return f"{isolation}, {case}: {error}"
            return None

        isolations = ("worker", "invocation")
        drivers = zip(isolations, pool.map(begin, isolations), strict=True)
        asked = [(*each, case) for each, case in product(drivers, cases)]
        found = [each for each in pool.map(problem, *zip(*asked, strict=True)) if each]
    assert not found, "\n\n".join(found)
