"""The page on fakes: its examples, put into one folder, are a suite that passes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "fakes.md"


@pytest.mark.processes
def test_the_examples_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    tests = sum(text.count("\ndef test_") for _, text in blocks)
    assert f"\n{tests} passed" in done.stdout, done.stdout
    assert done.returncode == 0
