"""What handlers printed and logged in other processes, brought to the test's own logging.

`caplog` and pytest's captured output then show each line once, when the result, or what there
is of it, is fetched.
"""

from __future__ import annotations

import logging
import threading

from ..core.model import OutputLine, OutputStream
from ..results.records import ExecutionRecord

#: The logger for printed lines: standard output at INFO, the rest at WARNING.
output_logger = logging.getLogger(f"{__name__.partition('.')[0]}.output")


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
                _log(line, record.execution_arn, invocation.request_id)


def _log(line: OutputLine, execution_arn: str, request_id: str) -> None:
    if line.stream is OutputStream.LOG:
        logger, level = logging.getLogger(line.logger), line.level
        if not _wanted(logger, level):
            return
    else:
        logger = output_logger
        level = logging.INFO if line.stream is OutputStream.STDOUT else logging.WARNING
    # A `%` in a handler's text is not for us to format, hence no args.
    record = logger.makeRecord(logger.name, level, "", 0, line.text, (), None)
    if line.time_ms:
        record.created = line.time_ms / 1000
        record.msecs = line.time_ms % 1000
    record.execution_arn = execution_arn
    record.request_id = request_id
    logger.handle(record)


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
