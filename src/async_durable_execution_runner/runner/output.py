"""What handlers printed and logged in other processes, brought to the test's output and logging.

Printed lines go to `sys.stdout` and `sys.stderr`, logged ones to the loggers of their names. A
terminal, `capsys` and `caplog` then show each line once, when the result, or what there is of it,
is fetched.
"""

from __future__ import annotations

import logging
import sys
import threading

from ..core.model import OutputLine, OutputStream
from ..core.text import visible
from ..results.records import ExecutionRecord
from ..worker import log_records


class OutputRelay:
    """Remembers how much of each invocation's output was handed on."""

    def __init__(self) -> None:
        self._handed_on: dict[str, int] = {}
        self._lock = threading.Lock()

    def hand_on(self, record: ExecutionRecord) -> None:
        for invocation in record.invocations:
            with self._lock:
                before = self._handed_on.get(invocation.request_id, 0)
                self._handed_on[invocation.request_id] = len(invocation.output)
            for line in invocation.output[before:]:
                if line.stream is OutputStream.LOG:
                    _log(line, record.execution_arn, invocation.request_id)
                else:
                    _print(line)


def _print(line: OutputLine) -> None:
    stream = sys.stdout if line.stream is OutputStream.STDOUT else sys.stderr
    # A process may have been started without one.
    if stream is None:
        return
    text = visible(line.text)
    try:
        stream.write(f"{text}\n")
    except UnicodeEncodeError:
        encoding = stream.encoding
        stream.write(f"{text.encode(encoding, 'backslashreplace').decode(encoding)}\n")


def _log(line: OutputLine, execution_arn: str, request_id: str) -> None:
    logger = logging.getLogger(line.logger)
    if _wanted(logger, line.level):
        ids = {"execution_arn": execution_arn, "request_id": request_id}
        logger.handle(log_records.record_of(line, ids))


def _wanted(logger: logging.Logger, level: int) -> bool:
    """Whether a level that somebody chose lets the line through. Nobody chose the root's default,
    WARNING, and the handlers of a test (`caplog`) have levels of their own."""
    if logging.root.manager.disable >= level:
        return False
    chosen = logger.getEffectiveLevel()
    at_root = all(each.level == logging.NOTSET for each in _ancestry(logger))
    return level >= chosen or (at_root and chosen == logging.WARNING)


def _ancestry(logger: logging.Logger) -> list[logging.Logger]:
    chain: list[logging.Logger] = []
    each: logging.Logger | None = logger
    while each is not None and each is not logging.root:
        chain.append(each)
        each = each.parent
    return chain
