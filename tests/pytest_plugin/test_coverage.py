"""`pytest --cov` counts the lines that handlers run in their workers."""

from __future__ import annotations

import json
import textwrap

import coverage
import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

#: What a line's comment names has run it, and nothing else has.
FLOWS = """\
import os
from async_durable_execution import durable_execution, step
from aws_durable_execution_sdk_python import durable_execution as official
from aws_durable_execution_sdk_python import durable_step

async def charge():
    return 1

@durable_execution
async def order(event):
    await step(charge)
    if event == "worker":
        return event  # worker
    if event == "execution":
        return event  # execution
    if event == "invocation":
        return event  # invocation
    if event == "inline":
        return event  # inline
    return None  # nothing

def happens_once(what):
    if os.path.exists(what):
        return False
    open(what, "w").close()
    return True

@durable_execution
async def dies(event):
    if happens_once("kill"):
        event = "killed"  # killed
    await step(charge)
    if happens_once("exit"):
        event = "exited"  # exited
        os._exit(3)  # exited
    return event

@durable_step
def in_a_thread(context):
    return 1  # threads

@official
def with_threads(event, context):
    return context.step(in_a_thread()) or 0
"""

TESTS = """
    import pytest
    from async_durable_execution_runner import DurableFunctionTestRunner

    @pytest.fixture(autouse=True)
    def elsewhere(monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize("kind", ["worker", "execution", "invocation", "inline"])
    def test_order(flows, kind):
        with DurableFunctionTestRunner(flows.order, isolation=kind) as runner:
            assert runner.run(kind).get_deserialized_result() == kind

    def test_killed(flows):
        with DurableFunctionTestRunner(flows.dies) as runner:
            result = runner.run("input", faults="kill@after-commit:1")
            assert result.get_deserialized_result() == "input"
            assert len(result.invocations) == 3

    def test_threads(flows):
        with DurableFunctionTestRunner(flows.with_threads) as runner:
            assert runner.run().get_deserialized_result() == 1
"""


@pytest.mark.parametrize("options", ["--import-mode=importlib --cov-context=test", "-n2"])
def test_lines_that_ran_in_workers_count(pytester: pytest.Pytester, options: str) -> None:
    flows = pytester.mkpydir("src").joinpath("flows.py")
    flows.write_text(FLOWS)
    pytester.makeini("[pytest]\npythonpath = src")
    pytester.makeconftest("import flows as module, pytest; flows = pytest.fixture(lambda: module)")
    if options != "-n2":
        # It needs no configuration, but has these paths mean what they mean where pytest begins.
        pytester.path.joinpath(".coveragerc").write_text(
            "[run]\nrelative_files = true\ninclude = src/flows.py"
        )
    pytester.mkdir("tests").joinpath("test_flows.py").write_text(textwrap.dedent(TESTS))

    outcome = pytester.runpytest_subprocess(
        "--cov=src" if options == "-n2" else "--cov",
        "--cov-branch",
        "--cov-report=json:cov.json",
        *options.split(),
    )

    outcome.assert_outcomes(passed=6)
    report = json.loads((pytester.path / "cov.json").read_text())["files"]["src/flows.py"]
    (never,) = _lines("nothing")
    assert report["missing_lines"] == [never]
    assert report["missing_branches"] == [[never - 2, never]]
    # All files are part of the report, and none comes after it.
    assert not list(pytester.path.glob(".coverage.*"))
    if "--cov-context=test" in options:
        data = coverage.CoverageData(str(pytester.path / ".coverage"))
        data.read()
        (measured,) = data.measured_files()
        ran_in = data.contexts_by_lineno(measured)
        for kind in ("worker", "execution", "invocation", "inline"):
            assert _contexts(ran_in, kind) == {f"tests/test_flows.py::test_order[{kind}]|run"}
        for what in ("killed", "exited"):
            assert _contexts(ran_in, what) == {"tests/test_flows.py::test_killed|run"}
        assert _contexts(ran_in, "threads") == {"tests/test_flows.py::test_threads|run"}


def _lines(comment: str) -> list[int]:
    return [
        number for number, line in enumerate(FLOWS.splitlines(), 1) if line.endswith(f"# {comment}")
    ]


def _contexts(ran_in: dict[int, list[str]], comment: str) -> set[str]:
    return {context for line in _lines(comment) for context in ran_in[line]}
