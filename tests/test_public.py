"""The names that a user imports, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import async_durable_execution_runner as package
from async_durable_execution_runner import runner


def test_every_public_name_is_there() -> None:
    assert {*package._MODULE_OF, "__version__", "ledger"} == set(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))


def test_every_error_is_public() -> None:
    from async_durable_execution_runner import errors

    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert classes == set(package._MODULES["errors"])


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = package.nonsense


def test_the_earlier_package_s_names_are_in_its_module() -> None:
    names = {
        *("DurableFunctionTestRunner", "DurableFunctionTestResult", "StepOperation"),
        *("ContextOperation", "ExecutionOperation", "WaitOperation", "CallbackOperation"),
        "InvokeOperation",
    }
    assert names <= set(runner.__all__)
    for name in runner.__all__:
        assert getattr(runner, name) is not None


def test_importing_the_package_imports_nothing_that_is_slow() -> None:
    """The coordinator and every worker host pay for it too, and code in production that
    records effects."""
    program = (
        "import sys, async_durable_execution_runner;"
        "from async_durable_execution_runner import ledger;"
        "ledger.record('charge', key=object(), amount={1});"
        "print([m for m in ('grpc', 'boto3', 'botocore', 'async_durable_execution', 'asyncio',"
        "'google.protobuf') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"


def test_a_runner_without_faults_does_not_import_their_classes() -> None:
    """They take a tenth of the time to import a runner, in each process of pytest-xdist."""
    program = (
        "import sys, async_durable_execution_runner.runner.blocking;"
        "from async_durable_execution_runner.runner.fault_plans import RunnerPlan;"
        "plan = RunnerPlan(()); plan.of_run((), True); plan.check_all();"
        "print('async_durable_execution_runner.core.faults' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output == "False\n"


def test_commands_that_ask_lambda_import_no_grpc() -> None:
    modules = ", ".join(f"async_durable_execution_runner.cli.{name}" for name in ("diff", "dex"))
    output = subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; print('grpc' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output == "False\n"
