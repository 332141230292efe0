"""How `durable-runner logs` shows the folder of lines."""

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
from serving.test_log_folder import ARN, LOG, T0, write

from async_durable_execution_runner.cli.main import main
from async_durable_execution_runner.core.model import OutputLine

Output = pytest.CaptureFixture[str]


def shown(output: Output, *arguments: str | Path) -> list[str]:
    assert main(["logs", *map(str, arguments)]) == 0
    return output.readouterr().out.splitlines()


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


def test_what_is_not_a_file_of_the_folder_is_not_read(tmp_path: Path, capsys: Output):
    (tmp_path / "secret").write_text("password\n")
    write(tmp_path / "logs", "Order", "plain")
    path = tmp_path / "logs" / "Price.jsonl"
    refusal = f"durable-runner: {path} cannot be read: it is "
    for target in ("../secret", "missing"):
        path.symlink_to(target)
        for options in [], ["--function=Price"], ["--follow"]:
            assert main(["logs", str(path.parent), *options]) == 2
            output = capsys.readouterr()
            assert "password" not in output.out
            refused = output.err.splitlines()
            assert refused == [f"{refusal}a symbolic link, which is not followed."]
        path.unlink()
    os.mkfifo(path)
    assert main(["logs", str(path.parent)]) == 2
    assert capsys.readouterr().err == f"{refusal}not a file.\n"


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


def test_what_a_terminal_would_obey_is_shown_escaped(tmp_path: Path, capsys: Output):
    hostile = "\x1b]0;owned\x07 \x9b2J \u202e a\rb \x7f"
    record = {"timestamp": "2025-01-01", "message": f"{hostile}\tafter\nnext", "requestId": "r"}
    (tmp_path / "F.jsonl").write_text(json.dumps(record) + "\n")
    assert main(["logs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert r"\x1b]0;owned\x07 \x9b2J \u202e a\rb \x7f" in shown
    assert "\tafter\nnext\n" in shown
