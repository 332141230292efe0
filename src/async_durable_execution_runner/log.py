"""The log in which the coordinator and the worker hosts say what they do, for a person to read.

`DURABLE_RUNNER_LOG` chooses how much: "info" for workers, hosts and refusals, "debug" for all that
executions do as well. Each process reads the variable when it starts and writes to its standard
error. The output of handlers goes another way, which this module does not know.

An object that logs asks for a logger's method once, when the object is made, and keeps the method.
Where nobody listens, the method is None, and a look at it is all that logging costs. Payloads are
never logged, only their sizes.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from .errors import InvalidConfiguration

VARIABLE = "DURABLE_RUNNER_LOG"

_PACKAGE = __name__.partition(".")[0]
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}
#: The characters of a line at most; the rest is left out.
_MOST_CHARACTERS = 800
#: The lines at most that wait to be written; further lines are left out.
_MOST_LINES = 20_000
#: The bytes at most that are written at once: POSIX keeps so many together in a pipe, so that the
#: lines of several processes do not run into each other.
_PIECE = 4096
#: The seconds in which the last lines may be written when the process ends.
_PATIENCE = 0.5

Say = Callable[..., None]
"""A logger's method: a format and its arguments."""


def chosen() -> str:
    """Return what the environment asks for: "debug", "info", or "" for silence.

    Raises:
        InvalidConfiguration: The environment asks for anything else.
    """
    given = os.environ.get(VARIABLE, "")
    level = given.strip().lower()
    if level and level not in _LEVELS:
        raise InvalidConfiguration(
            f"{VARIABLE} must be debug or info, or not set; it is {given!r}."
        )
    return level


def take() -> str:
    """Return what `chosen` does, and remove the variable, so that no handler sees it."""
    level = chosen()
    os.environ.pop(VARIABLE, None)
    return level


def set_up(level: str) -> None:
    """Have this process write its log to standard error, or no log where `level` is ""."""
    if level and sys.stderr is not None:
        logger = logging.getLogger(_PACKAGE)
        logger.setLevel(_LEVELS[level])
        logger.propagate = False
        handler = LineWriter(sys.stderr.fileno())
        handler.setFormatter(LineFormatter())
        logger.addHandler(handler)


def flush() -> None:
    """Wait until what this process has logged is written, but half a second at most."""
    for handler in logging.getLogger(_PACKAGE).handlers:
        handler.flush()


def info(name: str) -> Say | None:
    """Return the method with which the logger `name` logs at INFO, or None where nobody listens."""
    logger = logging.getLogger(name)
    return logger.info if logger.isEnabledFor(logging.INFO) else None


def debug(name: str) -> Say | None:
    """Return the method with which the logger `name` logs at DEBUG, or None as `info` does."""
    logger = logging.getLogger(name)
    return logger.debug if logger.isEnabledFor(logging.DEBUG) else None


def short(name: str) -> str:
    """Return the first eight characters of an id, or of the last part of an ARN."""
    return name.rpartition("/")[2][:8]


def span(ms: float) -> str:
    """Show a length of time, given in milliseconds, in the largest unit that is not longer."""
    ms = round(ms, -2)
    units = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))
    unit, size = next((each for each in units if ms >= each[1]), units[-1])
    return f"{ms / size:.1f}".removesuffix(".0") + f" {unit}"


class LineFormatter(logging.Formatter):
    """A formatter that makes one line of each record: `12:01:07.120Z` and the message.

    A character that is not printable, such as a line feed or a terminal's escape, is written as in
    a Python literal. Only the traceback of an exception has lines of its own.
    """

    default_time_format = "%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:
        if record.levelno > logging.INFO:
            record.message = f"{record.levelname}: {record.message}"
        more = len(record.message) - _MOST_CHARACTERS
        if more > 0:
            record.message = f"{record.message[:_MOST_CHARACTERS]}… ({more} more characters)"
        return _printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        return "\n".join(map(_printable, super().formatException(ei).split("\n")))  # type: ignore[arg-type]


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class LineWriter(logging.Handler):
    """A handler that writes lines to a file descriptor, on a thread of its own.

    The descriptor may be of a pipe that nobody empties. Then lines are left out, and a line in
    their place says so; code that logs never waits.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._lines: list[str] = []
        self._left_out = 0
        self._writing = False
        self._changed = threading.Condition()
        threading.Thread(target=self._write, name="durable-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n"
        except Exception:
            self.handleError(record)
            return
        with self._changed:
            if len(self._lines) < _MOST_LINES:
                self._lines.append(line)
                self._changed.notify_all()
            else:
                self._left_out += 1

    def flush(self) -> None:
        """Wait until all lines are written, but half a second at most."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._lines or self._writing), _PATIENCE)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._lines)
                lines, self._lines = self._lines, []
                if self._left_out:
                    lines.append(
                        f"… {self._left_out} lines are left out: they were not read in time.\n"
                    )
                    self._left_out = 0
                self._writing = True
            # The reader of the log may have gone.
            with suppress(OSError):
                for piece in _pieces(lines):
                    os.write(self._fd, piece)


def _pieces(lines: list[str]) -> Iterator[bytes]:
    """Join the lines into pieces, each with as many lines as may be written at once."""
    piece = b""
    for line in lines:
        encoded = line.encode(errors="backslashreplace")
        if len(piece) + len(encoded) > _PIECE:
            yield piece
            piece = b""
        piece += encoded
    yield piece
