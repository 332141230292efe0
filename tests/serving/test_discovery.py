"""How handlers are found: what is imported once, and what has a process of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from async_durable_execution_runner.serving.discovery import find
from async_durable_execution_runner.serving.functions_file import FunctionConfig

pytestmark = pytest.mark.processes


def test_a_module_is_imported_once_for_all_functions_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "many.py").write_text(
        "with open('imports', 'a') as imports:\n"
        "    imports.write('x')\n"
        "def plain(event, context): ...\n"
    )
    (tmp_path / "many.py").write_text(
        (tmp_path / "many.py").read_text().replace("'imports'", repr(str(tmp_path / "imports")))
    )
    told: list[int] = []
    functions = [FunctionConfig(f"f{n}", "many:plain", tmp_path) for n in range(40)]
    assert [durable for durable, _ in find(functions, told.append)] == [False] * 40
    assert (tmp_path / "imports").read_text() == "x"
    assert told == sorted(told)
    assert told[-1] == 40


def test_each_import_in_a_folder_counts_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "quick.py").write_text("def f(e, c): ...\n")
    (tmp_path / "slow.py").write_text(f"open({str(fifo)!r}).read()\ndef f(e, c): ...\n")
    told: list[int] = []

    def told_of(count: int) -> None:
        if not told:
            fifo.write_bytes(b"")
        told.append(count)

    find([FunctionConfig(name, f"{name}:f", tmp_path) for name in ("quick", "slow")], told_of)
    assert (told[0], told[-1]) == (1, 2)


def test_a_function_that_fails_beside_others_is_tried_alone(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import os\nos.environ['ONLY_TWO']\ndef f(e, c): ...\n")
    (tmp_path / "other.py").write_text(
        "import os, sys\nif 'first' in sys.modules: os._exit(3)\ndef f(e, c): ...\n"
    )
    (tmp_path / "first.py").write_text("def f(e, c): ...\n")
    functions = [
        FunctionConfig("First", "first:f", tmp_path),
        FunctionConfig("Other", "other:f", tmp_path),
        FunctionConfig("Two", "one:f", tmp_path, environment={"ONLY_TWO": "1"}),
    ]
    assert len(find(functions)) == 3
