"""The README's own example, as a newcomer would type it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

README = Path(__file__).parent.parent / "README.md"
EXAMPLE = README.parent / "examples" / "order"


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A folder with the files of the README's example."""
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        name = block.partition("\n")[0].removeprefix("# ")
        (tmp_path / name).write_text(block)
    return tmp_path


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_the_example_is_a_project_in_the_repository(newcomer: Path) -> None:
    for path in newcomer.iterdir():
        _, _, text = path.read_text().partition("\n")
        assert (EXAMPLE / path.name).read_text() == text


def test_the_example_has_a_pytest_configuration_of_its_own() -> None:
    """That of the repository around it asks for plugins that a reader need not have."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q"]
    without = ["-p", "no:timeout", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *without], cwd=EXAMPLE, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 tests collected" in done.stdout


def test_what_is_installed_is_the_clone() -> None:
    """The package is on no index."""
    for path in (README, EXAMPLE / "README.md", *README.parent.glob("docs/*.md")):
        assert not re.findall(r"pip install .*async-durable-execution-runner", path.read_text())


def test_the_example_passes(newcomer: Path) -> None:
    done = run_pytest(newcomer)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_failure_shows_the_test_and_the_execution_and_none_of_our_code(newcomer: Path) -> None:
    test = newcomer / "test_order.py"
    test.write_text(test.read_text().replace('get_step("charge")', 'get_step("charg")'))
    done = run_pytest(newcomer)
    assert "No step named 'charg'" in done.stdout
    assert "It has: charge." in done.stdout
    assert "def get_step" not in done.stdout
    assert "operations.py" not in done.stdout


def test_a_failed_execution_describes_itself(newcomer: Path) -> None:
    order = newcomer / "order.py"
    order.write_text(order.read_text().replace('event["order_id"]', 'event["no_such_key"]'))
    done = run_pytest(newcomer)
    assert "order_workflow · FAILED · 2 d · 2 invocations" in done.stdout
    assert "step charge" in done.stdout
    assert "KeyError: 'no_such_key'" in done.stdout


def test_the_row_for_boto3_runs_where_nothing_of_aws_is_configured(newcomer: Path) -> None:
    (row,) = re.findall(r"`(boto3\.client\(.*?\))`", README.read_text())
    (newcomer / "ask.py").write_text(
        "import boto3\n"
        "from async_durable_execution_runner import DurableFunctionTestRunner\n"
        "from order import order_workflow\n"
        "with DurableFunctionTestRunner(order_workflow, workers=1) as runner:\n"
        f"    client = {row}\n"
        "    answer = client.invoke(\n"
        "        FunctionName='order_workflow', Payload=b'{\"order_id\": 1}')\n"
        "    print(answer['Payload'].read().decode())\n"
    )
    env = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "ask.py"],
        cwd=newcomer,
        env={**env, "HOME": str(newcomer)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == '{"order_id": 1, "payment": "paid"}\n', done.stderr
