"""`docs/pytest.md` shows the files of the sample project, and `docs/commands.py` compares what the
commands of the page print."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
PROJECT = ROOT / "examples" / "shop"

spec = importlib.util.spec_from_file_location("commands", ROOT / "docs" / "commands.py")
assert spec is not None
assert spec.loader is not None
commands = importlib.util.module_from_spec(spec)
spec.loader.exec_module(commands)


def test_the_files_of_the_page_are_those_of_the_project() -> None:
    blocks = re.findall(r"^```(?:python|toml|yaml)\n# (\S+)\n(.*?)^```$", PAGE, re.M | re.S)
    files = {name: text for name, text in blocks if (PROJECT / name).exists()}
    assert len(files) >= 5
    for name, text in files.items():
        assert text in (PROJECT / name).read_text(encoding="utf-8"), name


def test_what_the_page_installs_is_what_the_workflow_installs() -> None:
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "tests.yml").read_text())
    steps = [step.get("run") for job in workflow["jobs"].values() for step in job["steps"]]
    installs = re.findall(r"^\$ (pip install .*)$", PAGE, re.M)
    assert installs
    assert set(installs) <= set(steps)


BLOCK = "```console\n$ {}\n{}```\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo done in 1.52s by pid 77", "done in 3.00s by pid 8\n"),
        ("printf 'a\\nb\\nc\\n'", "a\n…\nc\n"),
        ("cat there.py", "x = 1\n"),
        ("pip install nothing", ""),
    ],
)
def test_output_that_is_right_stays(command: str, expected: str, tmp_path: Path) -> None:
    page = f"```python\n# there.py\nx = 1\n```\n\n{BLOCK.format(command, expected)}end\n"
    assert commands.checked(page, tmp_path) == page


def test_output_that_is_wrong_is_replaced(tmp_path: Path) -> None:
    page = BLOCK.format("echo 6 passed\n7 passed\n$ echo right", "right\n")
    assert commands.checked(page, tmp_path) == BLOCK.format(
        "echo 6 passed\n6 passed\n$ echo right", "right\n"
    )
