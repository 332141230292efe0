"""The tests of the published requirements in a clone, which does not have these."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = ["conformance", "official"]


@pytest.mark.processes
def test_without_the_requirements_their_tests_are_not_collected(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *FOLDERS],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "CONFORMANCE_SUITE": str(tmp_path / "missing")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout
    assert "conformance/test_own.py" in ended.stdout
    assert "NOTSET" not in ended.stdout
    assert "test_over_http.py" not in ended.stdout
