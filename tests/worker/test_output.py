"""What is captured, how it is framed in a worker's file, and what is read back."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import pytest

from async_durable_execution_runner.core.model import OutputLine, OutputStream
from async_durable_execution_runner.worker import json_log
from async_durable_execution_runner.worker.output import (
    LIMIT,
    FileCapture,
    InlineCapture,
    frame,
    parse,
    read,
)

RAW, STDOUT, STDERR, LOG = OutputStream


def text_of(*lines: OutputLine | str) -> str:
    return "".join(line if isinstance(line, str) else frame(line).decode() for line in lines)


def test_what_was_framed_and_raw_text_come_back_in_order() -> None:
    logged = OutputLine(LOG, "two\nlines", "orders", logging.WARNING, 5)
    text = text_of(OutputLine(STDOUT, "one\n", time_ms=3), "raw\n", logged)
    assert parse(text) == [OutputLine(STDOUT, "one", time_ms=3), OutputLine(RAW, "raw"), logged]


def test_raw_text_without_an_end_of_line_does_not_hide_a_frame() -> None:
    text = text_of("Segmentation", OutputLine(STDOUT, "one\n"), "fault")
    assert parse(text) == [
        OutputLine(RAW, "Segmentation"),
        OutputLine(STDOUT, "one"),
        OutputLine(RAW, "fault"),
    ]


def test_pieces_of_a_line_are_joined_per_stream() -> None:
    text = text_of(
        OutputLine(STDOUT, "a"), OutputLine(STDERR, "x\n"), OutputLine(STDOUT, "b\nc\nd")
    )
    assert parse(text) == [
        OutputLine(STDERR, "x"),
        OutputLine(STDOUT, "ab"),
        OutputLine(STDOUT, "c"),
        OutputLine(STDOUT, "d"),
    ]


@pytest.mark.parametrize("forged", ["", "[]", '["nowhere", "a", 1]', '["stdout"]', "{", '"x"', "1"])
def test_a_mark_that_heads_no_frame_is_raw_text(forged: str) -> None:
    assert parse(f"\x1e{forged}\n") == [OutputLine(RAW, forged)]


@pytest.fixture
def file() -> Iterator[int]:
    with tempfile.TemporaryFile(buffering=0) as file:
        fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
        yield file.fileno()


def test_only_the_end_of_a_long_file_is_read(file: int) -> None:
    os.write(file, b"first\n" + b"x" * LIMIT + b"\nlast\n")
    assert read(file) == ([OutputLine(RAW, "last")], True)


@contextmanager
def installed(file: int) -> Iterator[FileCapture]:
    names = ("stdout", "stderr", "__stdout__", "__stderr__")
    before = [getattr(sys, name) for name in names]
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    capture = FileCapture(file)
    try:
        capture.install()
        yield capture
    finally:
        for name, stream in zip(names, before, strict=True):
            setattr(sys, name, stream)
        root.setLevel(level)
        root.handlers[:] = handlers


def test_what_is_printed_is_in_the_file_at_once(file: int) -> None:
    with installed(file):
        print("one", 2)
        print("three", end="")
        assert [line.text for line in read(file)[0]] == ["one 2"]
        sys.stdout.flush()
        assert [line.text for line in read(file)[0]] == ["one 2", "three"]


def test_collecting_empties_the_file(file: int) -> None:
    with installed(file) as capture:
        print("one", end="")
        assert [line.text for line in capture.collect()[0]] == ["one"]
        assert capture.collect() == ([], False)
        assert os.fstat(file).st_size == 0


def test_logging_keeps_logger_and_level(file: int) -> None:
    with installed(file) as capture:
        logging.getLogger("orders").info("paid %s", "o-1")
        ((line,), _) = capture.collect()
        assert (line.stream, line.logger, line.level) == (LOG, "orders", logging.INFO)
        assert line.text == "paid o-1"


def test_a_logged_exception_has_its_traceback(file: int) -> None:
    with installed(file) as capture:
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("orders").exception("failed")
        ((line,), _) = capture.collect()
        assert line.text.startswith("failed\nTraceback")
        assert line.text.endswith("ValueError: broken")


def test_output_past_the_limit_is_noted_once_per_invocation(file: int) -> None:
    with installed(file) as capture:
        for _ in range(3):
            print("x" * LIMIT)
        lines, truncated = capture.collect()
        assert truncated
        assert [line.text for line in lines] == [
            "[runner] more than 1 MiB of output in one invocation: the rest is not kept."
        ]
        print("again")
        lines, truncated = capture.collect()
        assert ([line.text for line in lines], truncated) == (["again"], False)


def test_a_handler_that_closes_its_stdout_does_not_end_the_worker(file: int) -> None:
    with installed(file) as capture:
        sys.stdout.close()
        capture.collect()
        print("still here")
        assert [line.text for line in capture.collect()[0]] == ["still here"]


def test_binary_and_undecodable_output_is_kept(file: int) -> None:
    with installed(file) as capture:
        sys.stdout.buffer.write(b"caf\xc3\xa9 \xff\n")
        print("\udcff")
        assert [line.text for line in capture.collect()[0]] == ["café \ufffd", "\\udcff"]


def test_inline_capture_takes_its_own_threads_output_and_passes_it_on(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    capture = InlineCapture()
    running, others_spoke = threading.Event(), threading.Event()

    def invocation() -> None:
        with capture.capturing():
            print("mine")
            running.set()
            others_spoke.wait()
            logging.getLogger("orders").warning("mine too")

    thread = threading.Thread(target=invocation)
    thread.start()
    running.wait()
    print("not mine")
    logging.getLogger("orders").warning("not mine either")
    others_spoke.set()
    thread.join()
    print("after")
    assert [line.text for line in capture.collect()[0]] == ["mine", "mine too"]
    assert capsys.readouterr().out == "mine\nnot mine\nafter\n"
    assert caplog.messages == ["not mine either", "mine too"]


def test_inline_capture_leaves_the_streams_as_they_were() -> None:
    before = sys.stdout, sys.stderr, list(logging.getLogger().handlers)
    with InlineCapture().capturing(), InlineCapture().capturing():
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr, list(logging.getLogger().handlers)) == before


def test_a_handler_that_never_returns_takes_no_output_from_the_next() -> None:
    next_one = InlineCapture()
    with InlineCapture().capturing():
        # pytest has other streams for each test.
        with redirect_stdout(io.StringIO()) as shown, next_one.capturing():
            print("mine")
        assert [line.text for line in next_one.collect()[0]] == ["mine"]
        assert shown.getvalue() == "mine\n"


def test_an_invocation_that_wants_json_logs_json(file: int) -> None:
    ids = {"requestId": "r-1", "executionArn": "arn"}
    with installed(file) as capture, json_log.formatting(ids):
        logger = logging.getLogger("orders")
        logger.log(27, "paid %s", "é", extra={"order": {1, 2}, "message_id": 3})
        # Threads have no context.
        thread = threading.Thread(target=logger.warning, args=("from a thread",))
        thread.start()
        thread.join()
        try:
            raise ValueError("broken")
        except ValueError:
            logger.exception("failed")
        lines, _ = capture.collect()
    said, of_thread, failed = (json.loads(line.text) for line in lines)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("timestamp"))
    assert said == {
        "level": "INFO",
        "message": "paid é",
        "logger": "orders",
        "order": "{1, 2}",
        "message_id": 3,
        **ids,
    }
    assert "é" in lines[0].text
    assert (lines[0].level, lines[0].logger) == (27, "orders")
    assert (of_thread["level"], of_thread["requestId"]) == ("WARNING", "r-1")
    assert (failed["errorType"], failed["errorMessage"]) == ("ValueError", "broken")
    assert 'raise ValueError("broken")' in failed["stackTrace"][-1]
    assert failed["location"].startswith(
        f"{__file__}:test_an_invocation_that_wants_json_logs_json:"
    )


def test_the_next_invocation_logs_as_it_wants(file: int) -> None:
    with installed(file) as capture:
        for ids in ({"requestId": "r-1"}, None):
            with json_log.formatting(ids):
                logging.getLogger("orders").info("paid")
        first, second = capture.collect()[0]
    assert json.loads(first.text)["requestId"] == "r-1"
    assert second.text == "paid"
