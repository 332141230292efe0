"""The folder of lines: what is written there, and how `durable-runner logs` shows it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving.process import COMMAND

from async_durable_execution_runner import InvalidConfiguration
from async_durable_execution_runner.cli.main import main
from async_durable_execution_runner.core.model import OutputLine, OutputStream
from async_durable_execution_runner.serving.log_folder import LogFolder

RAW, STDOUT, STDERR, LOG = OutputStream
T0 = 1_750_000_000_000
ARN = "arn:aws:lambda:us-east-1:123456789012:function:Order:$LATEST/durable-execution/a/b"
Output = pytest.CaptureFixture[str]


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


def shown(output: Output, *arguments: str | Path) -> list[str]:
    assert main(["logs", *map(str, arguments)]) == 0
    return output.readouterr().out.splitlines()


# -- writing -------------------------------------------------------------------------------


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


# -- showing -------------------------------------------------------------------------------


def test_lines_of_all_functions_are_shown_by_time(tmp_path: Path, capsys: Output):
    write(tmp_path, "Order", "one", '{"level": "INFO", "message": "third"}', time=0)
    write(tmp_path, "Price", OutputLine(LOG, "second", "p", logging.INFO, T0 + 3))
    write(tmp_path, "Order", '{"free": "form"}', "fourth", time=7)
    assert shown(capsys, tmp_path) == [
        "2025-06-15T15:06:40.000Z  Order  01234567  one",
        "2025-06-15T15:06:40.000Z  Order            INFO third",
        '2025-06-15T15:06:40.000Z  Order            {"free": "form"}',
        "2025-06-15T15:06:40.003Z  Price  01234567  INFO second",
        "2025-06-15T15:06:40.007Z  Order  01234567  fourth",
    ]


def test_an_error_logged_as_json_is_shown_with_it(tmp_path: Path, capsys: Output):
    record = {"level": "ERROR", "message": "oops", "errorType": "ValueError", "errorMessage": "no"}
    write(tmp_path, "Order", json.dumps(record))
    (line,) = shown(capsys, tmp_path)
    assert line.endswith("  ERROR oops (ValueError: no)")


def test_only_one_function_or_one_execution(tmp_path: Path, capsys: Output):
    write(tmp_path, "Order", "mine", json.dumps({"executionArn": ARN}), arn=ARN)
    write(tmp_path, "Order", "another's", arn=f"{ARN}2")
    write(tmp_path, "Price", "plain")
    assert [line.split()[-1] for line in shown(capsys, tmp_path, "--function=Price")] == ["plain"]
    found = shown(capsys, tmp_path, f"--execution={ARN}", "--json")
    assert found == (tmp_path / "Order.jsonl").read_text().splitlines()[:2]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing"], "There is no folder missing"),
        (["empty"], "Nothing is there yet: --follow waits for functions to write to empty."),
        (["full", "--function=Prize"], "--follow waits for Prize to write to full."),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
    arguments: list[str],
    complaint: str,
):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    write(Path("full"), "Price", "plain")
    assert main(["logs", *arguments]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert len(error.splitlines()) == 1


def following(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "logs", str(folder), "--follow", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.processes
def test_lines_are_followed_from_before_there_is_a_folder_until_sigint(tmp_path: Path):
    folder = tmp_path / "some" / "logs"
    with following(folder) as process:
        try:
            assert process.stderr.readline() == f"Waiting for functions to write to {folder}.\n"
            write(folder, "Order", "first")
            assert process.stdout.readline().endswith("first\n")
            # Another file, and a record that comes in two pieces.
            write(folder, "Price", "second")
            assert process.stdout.readline().endswith("second\n")
            with (folder / "Order.jsonl").open("a") as file:
                file.write('{"message": ')
                file.flush()
                write(folder, "Price", "third")
                assert process.stdout.readline().endswith("third\n")
                file.write('"fourth"}\n')
            assert process.stdout.readline().endswith("fourth\n")
            (folder / "Price.jsonl").write_text('{"message": "anew"}\n')
            assert process.stdout.readline().endswith("anew\n")
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stdout.read() == process.stderr.read() == ""
        finally:
            process.kill()


def test_what_is_waited_for_and_when_a_line_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
):
    """The watching library as a script: what it is asked to watch, and what happens then."""
    folder = tmp_path / "some" / "logs"
    file = folder / "Order.jsonl"
    said: list[str] = []

    def watch(*paths: Path, recursive: bool, **_: Any) -> Iterator[set[Any]]:
        assert (paths, recursive) == ((tmp_path,), False)
        folder.parent.mkdir()
        yield set()
        raise AssertionError("There was something to look at.")

    def watch_next(*paths: Path, recursive: bool, **_: Any) -> Iterator[set[Any]]:
        assert (paths, recursive) == ((folder.parent,), False)
        folder.mkdir()
        file.write_text('{"message": "first"}\n{"message": ')
        yield set()

    def watch_last(*paths: Path, recursive: bool, **_: Any) -> Iterator[set[Any]]:
        assert (paths, recursive) == ((folder,), False)
        said.append(capsys.readouterr().out)
        with file.open("a") as more:
            more.write('"second"}\n')
        yield set()
        said.append(capsys.readouterr().out)
        raise KeyboardInterrupt

    scripts = iter([watch, watch_next, watch_last])
    monkeypatch.setattr("watchfiles.watch", lambda *paths, **how: next(scripts)(*paths, **how))
    assert main(["logs", str(folder), "--follow"]) == 0
    assert [text.split() for text in said] == [["Order", "first"], ["Order", "second"]]


@pytest.mark.processes
def test_whoever_has_read_enough_may_go(tmp_path: Path):
    write(tmp_path, "Order", *(["x" * 1000] * 1000))
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [*COMMAND, "logs", str(tmp_path)], stdout=writing, stderr=subprocess.PIPE
    ) as process:
        os.close(writing)
        assert (process.wait(20), process.stderr.read()) == (0, b"")
