"""The fixture `durable_runner` in both modes, as somebody's own test suite uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

SUITE = """
import pytest
from async_durable_execution import durable_execution

@durable_execution
async def order(event):
    return "run here"

@pytest.mark.durable(handler=order, workers=1)
def test_by_its_own_name(durable_runner):
    print("one:", durable_runner.run({"a": 1}, timeout=30).result)

@pytest.mark.durable(order, function_name="refused")
def test_by_another_name(durable_runner):
    print("two:", durable_runner.run({"a": 1}, timeout=30).status.value)

@pytest.mark.durable(handler=order)
def test_crashes(crash_report):
    crash_report.assert_ok()
"""


def run(folder: Path, *options: str) -> str:
    (folder / "test_suite.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-qs", "-p", "no:cacheprovider", *options, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_local_mode(tmp_path: Path) -> None:
    shown = run(tmp_path)
    assert 'one: "run here"' in shown
    assert "two: SUCCEEDED" in shown
    assert "3 passed" in shown


def test_cloud_mode(tmp_path: Path, endpoint: str) -> None:
    """Functions by these names are deployed there, and do something else."""
    shown = run(
        tmp_path,
        "--durable-mode=cloud",
        f"--durable-endpoint={endpoint}",
        "--durable-region=us-east-1",
    )
    assert 'one: {"a": 1}' in shown
    assert "two: FAILED" in shown
    assert "2 passed, 1 skipped" in shown
