"""What may stand in an argument, and what a terminal may lack."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from argparse import ArgumentTypeError
from importlib.metadata import version
from pathlib import Path

import pytest

from async_durable_execution_runner.cli.arguments import payload
from async_durable_execution_runner.errors import HandlerNotLoadable
from async_durable_execution_runner.serving.discovery import load
from async_durable_execution_runner.serving.functions_file import FunctionConfig


def test_an_input_may_be_json_a_text_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "event.json"
    path.write_text('{"a": 1}')
    assert payload('{"a": 1}') == '{"a": 1}'
    assert payload("7") == "7"
    assert payload("hello") == '"hello"'
    assert payload(f"@{path}") == '{"a": 1}'
    monkeypatch.setattr("sys.stdin", io.StringIO("[2]"))
    assert payload("-") == "[2]"
    with pytest.raises(ArgumentTypeError, match="this is not JSON"):
        payload('{"a": 1')
    with pytest.raises(ArgumentTypeError, match=r"cannot be read: .*No such file"):
        payload(f"@{tmp_path}/none")


def test_a_failing_import_names_the_line(tmp_path: Path) -> None:
    source = tmp_path / "imports_what_is_not_there.py"
    source.write_text("import os\nimport no_such_thing\n")
    config = FunctionConfig("f", "imports_what_is_not_there:handler", tmp_path)
    place = re.escape(f"No module named 'no_such_thing' ({source}, line 2).")
    with pytest.raises(HandlerNotLoadable, match=place):
        load(config)
    with pytest.raises(HandlerNotLoadable, match=r"No module named 'no_such_module'\.$"):
        load(FunctionConfig("f", "no_such_module:handler", tmp_path))


@pytest.mark.processes
def test_the_package_is_a_command_with_a_version() -> None:
    command = [sys.executable, "-m", "async_durable_execution_runner", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    number = version("async-durable-execution-runner")
    assert done.stdout == f"durable-runner {number}\n"


@pytest.mark.processes
def test_a_terminal_that_lacks_a_character_gets_it_escaped(tmp_path: Path) -> None:
    (tmp_path / "order.py").write_text(
        "from async_durable_execution import durable_execution\n"
        "@durable_execution\n"
        "async def place(event):\n"
        "    print('caf\\u00e9')\n"
    )
    command = [sys.executable, "-m", "async_durable_execution_runner", "run", "order:place"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "caf\\xe9" in done.stdout


@pytest.mark.processes
def test_a_shell_completes_commands(tmp_path: Path) -> None:
    line, answer = "durable-runner ex", tmp_path / "answer"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-m", "async_durable_execution_runner"]
    subprocess.run(command, env={**os.environ, **asked}, check=True)
    assert answer.read_text().split() == ["explore", "executions"]
