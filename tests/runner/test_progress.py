"""What a batch of executions says on a terminal, and its output in a test's logging."""

from __future__ import annotations

import io
import logging

import pytest

from async_durable_execution_runner.core.model import ExecutionStatus, OutputLine, OutputStream
from async_durable_execution_runner.results.records import ExecutionRecord, InvocationRecord
from async_durable_execution_runner.runner.output import OutputRelay
from async_durable_execution_runner.runner.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def record(status: ExecutionStatus, *output: OutputLine) -> ExecutionRecord:
    invocation = InvocationRecord(request_id="r-1", output=output)
    return ExecutionRecord(execution_arn="arn", status=status, invocations=[invocation])


def test_what_did_not_succeed_is_counted() -> None:
    terminal = Terminal()
    progress = Progress(3, terminal)
    progress.done(record(ExecutionStatus.SUCCEEDED))
    progress.done(record(ExecutionStatus.FAILED))
    progress.done(ValueError("refused"))
    progress.close()
    shown = [each.removesuffix("\x1b[K") for each in terminal.getvalue().split("\r")]
    assert shown[1:] == [
        "1/3 executions",
        "2/3 executions, 1 not succeeded",
        "3/3 executions, 2 not succeeded",
        "",
    ]


LOGGED = OutputLine(OutputStream.LOG, "paid", "shop", logging.WARNING, time_ms=1_700_000_000_250)


def test_a_line_has_the_time_at_which_it_was_logged(caplog: pytest.LogCaptureFixture) -> None:
    OutputRelay().hand_on(record(ExecutionStatus.SUCCEEDED, LOGGED))
    (logged,) = caplog.records
    assert (logged.created, logged.msecs) == (1_700_000_000.25, 250)


def test_a_test_that_disabled_logging_is_spared(caplog: pytest.LogCaptureFixture) -> None:
    logging.disable(logging.WARNING)
    try:
        OutputRelay().hand_on(record(ExecutionStatus.SUCCEEDED, LOGGED))
    finally:
        logging.disable(logging.NOTSET)
    assert caplog.records == []
