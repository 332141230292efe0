"""Run the commands of `pytest.md` as they are written, in a copy of the sample project, and write
what they print in place of output that is no longer so.

`python docs/commands.py` writes; with `--check` it only says whether the page is right. In the
page, `…` stands for anything; seconds, process ids and the widths of gaps and rules are not
compared. A line that installs is not run: `.ci/run` runs it, with the project's workflow.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "pytest.md"
PROJECT = HERE.parent / "examples" / "shop"
#: A file that the project does not have, or commands with their output.
_BLOCK = re.compile(
    r"^```python\n# (?P<name>\S+)\n(?P<text>.*?)^```$|^```console\n(?P<commands>.*?)^```$",
    re.M | re.S,
)
#: A command, and what it prints.
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.M)
#: What differs from run to run, and what stands for it.
_VOLATILE = (
    (r"\d+(\.\d+)? (ms|s)\b|\d+\.\d+s\b( \(\d+:\d\d:\d\d\))?", "1 s"),
    (r"pid \d+", "pid 1"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4})*(-[0-9a-f]{12})?\b", "1a2b3c4d"),
    (r"([=_-])\1{2,}", r"\1\1\1"),
    (r" +", " "),
    (r" $", ""),
)


def checked(page: str, folder: Path) -> str:
    """Run the commands of `page` in `folder`; return the page with what they print.

    Output that is right stays as it is written.
    """
    made = ""
    end = 0
    for block in _BLOCK.finditer(page):
        made += page[end : block.start()]
        made += _blocked(block, folder)
        end = block.end()
    return made + page[end:]


def _blocked(block: re.Match[str], folder: Path) -> str:
    if block["commands"] is not None:
        commands = _COMMAND.sub(lambda one: _run(one[1], one[2], folder), block["commands"])
        return f"```console\n{commands}```"
    file = folder / block["name"]
    if not file.exists():
        file.write_text(block["text"])
    return block[0]


def _run(command: str, expected: str, folder: Path) -> str:
    if command.startswith("pip install "):
        return f"$ {command}\n{expected}"
    # pytest shows more on a CI system than at a desk.
    desk = {name: text for name, text in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    environment = desk | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # As `pip install -e .` has it.
        "PYTHONPATH": str(folder / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "100",
        # The repository's environment has it, that of the project does not.
        "PYTEST_ADDOPTS": "-p no:asyncio",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    printed = "".join(f"{line.rstrip()}\n" for line in done.stdout.strip("\n").splitlines())
    printed = printed.replace(f"{folder}/", "")
    return f"$ {command}\n{expected if is_as(expected, printed) else printed}"


def is_as(expected: str, printed: str) -> bool:
    """Whether `printed` is what the page says, but for what differs from run to run."""
    pattern = ".*".join(re.escape(part) for part in _steady(expected).split("…"))
    return re.fullmatch(pattern, _steady(printed), re.S) is not None


def _steady(text: str) -> str:
    for volatile, instead in _VOLATILE:
        text = re.sub(volatile, instead, text, flags=re.M)
    return text


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent).resolve() / PROJECT.name
        shutil.copytree(PROJECT, folder)
        made = checked(page, folder)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(made, encoding="utf-8")
    elif made != page:
        sides = (text.splitlines(keepends=True) for text in (page, made))
        sys.stdout.writelines(difflib.unified_diff(*sides, "docs/pytest.md", "as it is printed"))
        sys.exit("Not current: pytest.md. Run `python docs/commands.py`.")


if __name__ == "__main__":
    main()
