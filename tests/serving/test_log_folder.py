"""What is written to the folder of lines."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from async_durable_execution_runner import InvalidConfiguration
from async_durable_execution_runner.core.model import OutputLine, OutputStream
from async_durable_execution_runner.serving.log_folder import LogFolder

from .process import COMMAND

RAW, STDOUT, STDERR, LOG = OutputStream
T0 = 1_750_000_000_000
ARN = "arn:aws:lambda:us-east-1:123456789012:function:Order:$LATEST/durable-execution/a/b"


def refuse(sentence: str) -> None:
    pytest.fail(sentence)


def write(
    folder: Path, function: str, *lines: OutputLine | str, arn: str = "", time: int = 0
) -> None:
    """What one invocation wrote."""
    made = [
        OutputLine(STDOUT, line, time_ms=T0 + time) if isinstance(line, str) else line
        for line in lines
    ]
    LogFolder(folder, refuse).write(function, arn, "0123456789", T0 + 5, made)


def records(folder: Path, function: str = "Order") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{function}.jsonl").read_text().splitlines()]


def test_a_line_is_wrapped_with_whose_it_is(tmp_path: Path):
    logged = OutputLine(LOG, "two\nlines", "orders", logging.WARNING, T0 + 1)
    write(tmp_path, "Order", "é", OutputLine(RAW, "C"), logged, arn=ARN)
    write(tmp_path, "Price", "plain")
    ids = {"requestId": "0123456789", "functionName": "Order", "executionArn": ARN}
    assert records(tmp_path) == [
        {"timestamp": "2025-06-15T15:06:40.000Z", "stream": "stdout", "message": "é", **ids},
        # Whose time is not known has that of the end.
        {"timestamp": "2025-06-15T15:06:40.005Z", "stream": "raw", "message": "C", **ids},
        {
            "timestamp": "2025-06-15T15:06:40.001Z",
            "level": "WARNING",
            "logger": "orders",
            "message": "two\nlines",
            **ids,
        },
    ]
    assert "executionArn" not in records(tmp_path, "Price")[0]


def test_a_json_object_is_there_as_it_came(tmp_path: Path):
    lines = ['{"b": 1,  "a":2}', '{ "deep": {"é": null} }']
    write(tmp_path, "Order", *lines, OutputLine(LOG, '{"logged": 1}', "orders", 20, T0))
    assert (tmp_path / "Order.jsonl").read_text().splitlines() == [*lines, '{"logged": 1}']


@pytest.mark.parametrize("text", ["[1]", "{}x", '"text"', "{", '{"a": NaN}', '{\n"a": 1}', ""])
def test_what_is_no_json_object_on_one_line_is_wrapped(tmp_path: Path, text: str):
    write(tmp_path, "Order", text)
    assert [record["message"] for record in records(tmp_path)] == [text]


def test_an_alias_writes_to_its_function_s_file(tmp_path: Path):
    write(tmp_path, "Order:prod", "one")
    write(tmp_path, "Order", "two")
    assert [each["message"] for each in records(tmp_path)] == ["one", "two"]


def test_a_file_that_was_taken_away_is_made_again(tmp_path: Path):
    folder = LogFolder(tmp_path, refuse)
    for text in ("one", "two"):
        folder.write("Order", "", "r", T0, [OutputLine(STDOUT, text)])
        (tmp_path / "Order.jsonl").rename(tmp_path / text)
    assert json.loads((tmp_path / "two").read_text())["message"] == "two"


def test_a_full_disk_is_said_once_and_leaves_no_half_a_record(tmp_path: Path):
    """The disk: as large as a file of this process may become."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from async_durable_execution_runner.core.model import OutputLine, OutputStream\n"
        "from async_durable_execution_runner.serving.log_folder import LogFolder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "folder = LogFolder(Path(sys.argv[1]), print)\n"
        "for size in (10, 2000, 2000, 20):\n"
        "    lines = [OutputLine(OutputStream.STDOUT, 'x' * size)]\n"
        "    folder.write('Order', '', 'r', 0, lines)\n"
    )
    done = subprocess.run(
        [COMMAND[0], "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    path = tmp_path / "Order.jsonl"
    assert done.stdout == f"Lines are lost: {path} cannot be written to: File too large.\n"
    assert [len(record["message"]) for record in records(tmp_path)] == [10, 20]


def test_lines_that_could_not_be_kept_are_told_of(tmp_path: Path):
    said: list[str] = []
    LogFolder(tmp_path, said.append).write("Order", "", "r", T0, [], dropped=3)
    assert said == ["3 lines are lost: more was written than could be kept."]


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path):
    (tmp_path / "Order.jsonl").mkdir()
    with pytest.raises(InvalidConfiguration, match=r"Order\.jsonl cannot be written to: Is a dir"):
        LogFolder(tmp_path, refuse).begin(["Order"])


def test_no_link_is_followed(tmp_path: Path):
    outside = tmp_path / "authorized_keys"
    outside.write_text("mine")
    folder, warnings = tmp_path / "logs", list[str]()
    log_folder = LogFolder(folder, warnings.append)
    log_folder.begin(["F"])
    (folder / "F.jsonl").unlink()
    (folder / "F.jsonl").symlink_to(outside)
    log_folder.write("F", "", "r", 0, [OutputLine(OutputStream.STDOUT, "theirs")])
    assert outside.read_text() == "mine"
    assert "it is a symbolic link, which is not followed" in warnings[0]
    with pytest.raises(InvalidConfiguration, match="symbolic link"):
        log_folder.begin(["F"])


def test_a_pipe_that_nobody_reads_does_not_keep_the_server_waiting(tmp_path: Path):
    os.mkfifo(tmp_path / "F.jsonl")
    with pytest.raises(InvalidConfiguration, match="cannot be written to: "):
        LogFolder(tmp_path, print).begin(["F"])
