"""The ways in which people run their suites: whatever way it is, tests pass, one that fails has its
section, and the session has one coordinator and no more workers than it may."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

HANDLER = """
import os
from datetime import timedelta
from async_durable_execution import durable_execution, step, wait

async def charge():
    return {number}

@durable_execution
async def order(event):
    paid = await step(charge, name="charge")
    await wait(timedelta(days=1), name="pause")
    return [paid, os.getpid()]
"""

CONFTEST = (
    HANDLER.format(number=2)
    + """
import pytest

@pytest.fixture
def handler_of_conftest():
    return order

@pytest.fixture
def runs(make_durable_runner, durable_pool):
    def runs(handler, number):
        runner = make_durable_runner(handler)
        paid, _ = runner.run().get_deserialized_result()
        status = durable_pool.status()
        told = [status.pid, os.getpid(), len(status.workers)]
        # One write of a line is not mixed with those of other processes.
        with open("@told@", "a") as file:
            file.write(" ".join(map(str, told)) + "\\n")
        assert paid == number
    return runs
"""
)

TESTS = (
    HANDLER.format(number=3)
    + """
import pytest
from async_durable_execution_runner import AsyncDurableFunctionTestRunner
from shop import order as order_of_src

@pytest.mark.xdist_group("group")
def test_each_place(runs, handler_of_conftest):
    runs(order_of_src, 1)
    runs(handler_of_conftest, 2)
    runs(order, 3)

@pytest.mark.durable(handler=order_of_src)
def test_fails(durable_runner):
    assert durable_runner.run({"of": "test_fails"}).status is None
"""
)

HELPED = (
    TESTS
    + """from @helper@ import order as order_beside

def test_beside(runs):
    runs(order_beside, 4)

@durable_execution
async def short(event):
    return event

@pytest.mark.durable(handler=short)
@pytest.mark.explore_crashes({"explored": True})
def test_report(crash_report):
    crash_report.assert_ok()

@pytest.mark.asyncio
async def test_async():
    async with AsyncDurableFunctionTestRunner(order, workers=1) as runner:
        assert (await runner.run()).get_deserialized_result()[0] == 3
"""
)


def lay_out(pytester: pytest.Pytester, options: str, packages: bool) -> Path:
    """A project with sources in src/, and tests in tests/one/ and tests/two/, which are packages or
    not, in two files of one name where pytest allows that."""
    root = pytester.path
    for folder in ("src", "tests/one", "tests/two"):
        (root / folder).mkdir(parents=True)
    (root / "src/shop.py").write_text(HANDLER.format(number=1))
    (root / "tests/conftest.py").write_text(CONFTEST.replace("@told@", str(root / "told")))
    (root / "tests/one/helper.py").write_text(HANDLER.format(number=4))
    helper = ".helper" if packages else "helper"
    (root / "tests/one/test_order.py").write_text(HELPED.replace("@helper@", helper))
    searched = ["src"]
    if packages:
        for package in ("tests", "tests/one", "tests/two"):
            (root / package / "__init__.py").touch()
    elif "importlib" in options:
        # Without that, no helper can be imported in this mode.
        searched.append("tests/one")
    one_name = packages or "importlib" in options
    (root / "tests/two" / ("test_order.py" if one_name else "test_other.py")).write_text(TESTS)
    pytester.makeini(
        f"[pytest]\npythonpath = {' '.join(searched)}\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    return root


def told(root: Path) -> tuple[set[int], set[int], int]:
    """The coordinators, the processes of the suite, and the most workers that there were."""
    lines = [map(int, line.split()) for line in (root / "told").read_text().splitlines()]
    coordinators, processes, workers = zip(*lines, strict=True)
    return set(coordinators), set(processes), max(workers)


@pytest.mark.parametrize(
    ("options", "packages", "processes"),
    [
        ("-p no:xdist", True, 1),
        ("-n0 --import-mode=importlib", False, 1),
        ("-n4 --dist=load", False, 4),
        ("-n2 --dist=loadscope --import-mode=importlib", True, 2),
        ("-n2 --dist=loadfile --import-mode=append", False, 2),
        ("-n2 --dist=worksteal", True, 2),
        ("-n2 --dist=loadgroup --import-mode=importlib", False, 2),
        ("-n4 --maxprocesses=1", False, 1),
    ],
)
def test_a_suite(pytester: pytest.Pytester, options: str, packages: bool, processes: int) -> None:
    root = lay_out(pytester, options, packages)
    outcome = pytester.runpytest_subprocess("--durable-workers=2", *options.split())
    outcome.assert_outcomes(passed=5, failed=2)
    assert outcome.stdout.str().count("- durable functions -") == 2
    assert outcome.outlines.count('input        {"of": "test_fails"}') == 2
    coordinators, used, workers = told(root)
    assert len(coordinators) == 1
    assert len(used) <= processes
    assert workers <= 2


@pytest.mark.parametrize("python", ["", f"//python={sys.executable}"])
def test_each_worker_of_xdist_runs_all_tests(pytester: pytest.Pytester, python: str) -> None:
    """One that has a Python of its own has handlers run by that Python."""
    root = lay_out(pytester, "", True)
    outcome = pytester.runpytest_subprocess(
        "--dist=each", "--tx=popen", f"--tx=popen{python}", "--durable-workers=1", "tests/two"
    )
    outcome.assert_outcomes(passed=2, failed=2)
    assert outcome.stdout.str().count("- durable functions -") == 2
    coordinators, used, workers = told(root)
    assert (len(coordinators), len(used), workers) == (2 if python else 1, 2, 1)


@pytest.mark.parametrize("options", ["--rootdir={}", "-c {}/tox.ini --import-mode=importlib"])
def test_a_suite_that_is_run_from_elsewhere(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: str
) -> None:
    root = lay_out(pytester, options, True)
    monkeypatch.chdir(tmp_path)
    arguments = options.format(root).split()
    outcome = pytester.runpytest_subprocess(*arguments, str(root / "tests"), "--durable-workers=1")
    outcome.assert_outcomes(passed=5, failed=2)
    assert outcome.stdout.str().count("- durable functions -") == 2
    coordinators, _, workers = told(root)
    assert (len(coordinators), workers) == (1, 1)


ASYNC = (
    HANDLER.format(number=3)
    + """
import asyncio, pytest
from async_durable_execution_runner import AsyncDurableFunctionTestRunner
from async_durable_execution_runner import create_local_runner

@@fixture@
async def runner():
    async with AsyncDurableFunctionTestRunner(order, workers=1) as opened:
        yield opened

@mark@
async def test_fixture(runner):
    assert (await runner.run()).get_deserialized_result()[0] == 3

@mark@
async def test_of_the_sdk():
    async with create_local_runner(handler=order) as local:
        assert (await local.run()).get_deserialized_result()[0] == 3

@mark@
@pytest.mark.durable(handler=order, workers=1)
async def test_on_a_thread(durable_runner):
    result = await asyncio.to_thread(durable_runner.run)
    assert result.get_deserialized_result()[0] == 3

@mark@
async def test_fails(runner):
    assert (await runner.run({"of": "test_fails"})).status is None
"""
)

ASYNCIO_FIXTURE = 'import pytest_asyncio\n@pytest_asyncio.fixture(scope="module")'
ANYIO_BACKEND = """
@pytest.fixture(params=["asyncio", ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return request.param

@pytest.fixture"""


@pytest.mark.parametrize(
    ("options", "mark", "fixture", "times"),
    [
        # The fixture's loop is wider than those of the tests.
        ("-oasyncio_mode=strict", "@pytest.mark.asyncio", ASYNCIO_FIXTURE, 1),
        ("-oasyncio_mode=auto -n2", "", "@pytest.fixture", 1),
        ("-pno:asyncio", "@pytest.mark.anyio", ANYIO_BACKEND, 2),
    ],
)
def test_an_asynchronous_suite(
    pytester: pytest.Pytester, options: str, mark: str, fixture: str, times: int
) -> None:
    text = ASYNC.replace("@@fixture@", fixture).replace("@mark@", mark)
    pytester.makepyfile(text)
    outcome = pytester.runpytest_subprocess(*options.split())
    outcome.assert_outcomes(passed=3 * times, failed=times)
    assert outcome.stdout.str().count("- durable functions -") == times
    assert outcome.outlines.count('input        {"of": "test_fails"}') == times
