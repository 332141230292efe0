"""The capture of a handler's prints and logs, made at once so that no crash takes them along.

In a worker process, file descriptors 1 and 2 are one append-mode file. Python-level output
goes into the file at once as *frames*: a frame is a line with a record separator and a JSON
array, which keeps the stream, the logger and the level. The rest of the file is raw: C code and
child processes wrote it. The worker reads and empties the file after each invocation; the host
reads what a worker that died has left in it. Both use `read`.

An inline worker shares its process with the test. So it captures only what is written in the
context of its own thread, and passes that on.

This module must not know of sessions, invocations or gRPC.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO, cast

from ..core.model import OutputLine, OutputStream
from ..core.text import utf8
from . import json_log, log_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: The bytes of output that are kept of an invocation.
LIMIT = 1 << 20

_MARK = "\x1e"
_FULL = "[runner] more than 1 MiB of output in one invocation: the rest is not kept."


def read(fd: int) -> tuple[list[OutputLine], bool]:
    """Return the lines of the file, and whether it held more than the last `LIMIT` bytes."""
    size = os.fstat(fd).st_size
    if not size:
        return [], False
    start = max(0, size - LIMIT)
    data = os.pread(fd, LIMIT, start)
    if start:
        data = data[data.find(b"\n") + 1 :]
    lines = parse(data.decode("utf-8", "replace"))
    return lines, bool(start) or any(line.text == _FULL for line in lines)


def parse(text: str) -> list[OutputLine]:
    """Return the lines of a file's text.

    A frame's text may end within a line; the next frame of its stream continues the line.
    """
    lines: list[OutputLine] = []
    open_ends: dict[OutputStream, str] = {}

    def add(stream: OutputStream, text: str, time_ms: int, *logged: Any) -> None:
        if stream is OutputStream.LOG:
            logger, level, attributes = logged
            lines.append(OutputLine(stream, text, logger, level, time_ms, attributes))
            return
        *whole, rest = (open_ends.pop(stream, "") + text).split("\n")
        lines.extend(OutputLine(stream, line, time_ms=time_ms) for line in whole)
        if rest:
            open_ends[stream] = rest

    for line in text.split("\n"):
        raw, mark, frame = line.partition(_MARK)
        if raw:
            lines.append(OutputLine(OutputStream.RAW, raw))
        if mark:
            try:
                stream, *values = json.loads(frame)
                add(OutputStream(stream), *_checked(*values))
            except Exception:
                # Any code can write the mark, and anything behind it.
                lines.append(OutputLine(OutputStream.RAW, frame))
    lines.extend(OutputLine(stream, rest) for stream, rest in open_ends.items())
    return lines


def _checked(
    text: str, time_ms: int, logger: str = "", level: int = 0, attributes: str = ""
) -> tuple[Any, ...]:
    """Return a frame's values in the form that a message can carry.

    A Python string can hold half a character, which a message cannot.
    """
    text, logger, attributes = (utf8(each) for each in (text, logger, attributes))
    if abs(int(time_ms)) >= 1 << 62 or abs(int(level)) >= 1 << 31:
        raise ValueError("out of range")
    return text, int(time_ms), logger, int(level), attributes


def frame(line: OutputLine) -> bytes:
    values: list[Any] = [line.stream.value, line.text, line.time_ms]
    if line.stream is OutputStream.LOG:
        values += [line.logger, line.level, line.attributes]
    return f"{_MARK}{json.dumps(values)}\n".encode()


class FileCapture:
    """A worker process's capture, which writes everything to the file behind `fd`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._written = 0
        self._lost = False

    def install(self) -> None:
        """Replace `sys.stdout` and `sys.stderr`, and log to the file, at first from INFO up."""
        self._replace_streams()
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        root.addHandler(LogHandler(self.write))

    def _replace_streams(self) -> None:
        self._streams = (
            _stream(self, OutputStream.STDOUT, 1),
            _stream(self, OutputStream.STDERR, 2),
        )
        sys.stdout, sys.stderr = self._streams
        sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc, assignment]

    def write(self, line: OutputLine) -> None:
        if self._written > LIMIT:
            return
        data = frame(line)
        self._written += len(data)
        if self._written > LIMIT:
            data = frame(OutputLine(OutputStream.STDERR, _FULL + "\n", time_ms=_now()))
        try:
            self._lost |= os.write(self._fd, data) < len(data)
        except OSError:
            # The disk is full, which is no reason for a handler's print to fail.
            self._lost = True

    def collect(self) -> tuple[list[OutputLine], bool]:
        """Return the lines since the last call, and whether some of them were dropped."""
        if any(stream.closed for stream in self._streams):
            self._replace_streams()
        for stream in self._streams:
            stream.flush()
        lines, truncated = read(self._fd)
        truncated |= self._lost
        if lines:
            os.ftruncate(self._fd, 0)
        self._written, self._lost = 0, False
        return lines, truncated


class _FramedFile(io.RawIOBase):
    """The binary side of a captured `sys.stdout`; `fileno` stays the real one."""

    def __init__(self, capture: FileCapture, stream: OutputStream, fd: int) -> None:
        super().__init__()
        self._capture = capture
        self._stream = stream
        self._fd = fd

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any) -> int:
        text = bytes(data).decode("utf-8", "replace")
        self._capture.write(OutputLine(self._stream, text, time_ms=_now()))
        return len(data)


def _stream(capture: FileCapture, stream: OutputStream, fd: int) -> TextIO:
    # The file below the text layer is raw, so that a text arrives in one piece.
    return io.TextIOWrapper(
        _FramedFile(capture, stream, fd),  # type: ignore[type-var]
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )


class LogHandler(logging.Handler):
    """A handler that writes records as lines, without those that the SDK suppresses in replay."""

    def __init__(self, write: Any) -> None:
        super().__init__()
        self._write = write
        # The SDK puts its filter on the root logger and on the handlers that it finds there
        # when it is imported; this handler comes later.
        for known in logging.getLogger().filters:
            if type(known).__module__.startswith("async_durable_execution."):
                self.addFilter(known)

    def format(self, record: logging.LogRecord) -> str:
        # A formatter that the user's code has set goes before the runner's.
        chosen = json_log.formatter() if self.formatter is None else None
        return super().format(record) if chosen is None else chosen.format(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:
            self.handleError(record)
            return
        time_ms = int(record.created * 1000)
        attributes = log_records.attributes(record, text)
        self._write(
            OutputLine(OutputStream.LOG, text, record.name, record.levelno, time_ms, attributes)
        )


def _now() -> int:
    return int(time.time() * 1000)


_current: ContextVar[InlineCapture | None] = ContextVar("inline_capture", default=None)


class InlineCapture:
    """An inline worker's capture of its own thread and of threads that inherit its context."""

    def __init__(self) -> None:
        self._lines: list[OutputLine] = []
        self._size = 0
        #: The lines that have not ended yet, by thread: `print` writes in pieces.
        self._open_ends: dict[tuple[int, OutputStream], str] = {}

    def write(self, line: OutputLine) -> None:
        if self._size > LIMIT:
            return
        self._size += len(line.text) + 32
        if self._size > LIMIT:
            line = OutputLine(OutputStream.STDERR, _FULL + "\n")
        if line.stream is not OutputStream.LOG:
            key = threading.get_ident(), line.stream
            text, newline, rest = (self._open_ends.pop(key, "") + line.text).rpartition("\n")
            if rest:
                self._open_ends[key] = rest
            if not newline:
                return
            line = replace(line, text=text + newline)
        self._lines.append(line)

    def so_far(self) -> list[OutputLine]:
        """Return the whole lines since the last `collect`, which stay."""
        return _join(list(self._lines))

    def collect(self) -> tuple[list[OutputLine], bool]:
        for (_, stream), text in self._open_ends.items():
            self._lines.append(OutputLine(stream, text + "\n", time_ms=_now()))
        lines, truncated = self._lines, self._size > LIMIT
        self._lines, self._size, self._open_ends = [], 0, {}
        return _join(lines), truncated

    @contextmanager
    def capturing(self) -> Iterator[None]:
        token = _current.set(self)
        _hooks.add()
        try:
            yield
        finally:
            _hooks.remove()
            _current.reset(token)


def _join(lines: list[OutputLine]) -> list[OutputLine]:
    return parse("".join(frame(line).decode() for line in lines))


class _Passing:
    """The stream that replaces `sys.stdout` or `sys.stderr` while inline invocations run."""

    def __init__(self, real: TextIO | None, stream: OutputStream) -> None:
        self.real = real
        self._stream = stream

    def write(self, text: str) -> int:
        capture = _current.get()
        if capture is not None:
            capture.write(OutputLine(self._stream, text, time_ms=_now()))
        # The real stream is None where the process was started without one.
        return self.real.write(text) if self.real is not None else len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _Hooks:
    """The streams and the log handler that all inline captures of the process share.

    They are in place from the first capture's begin to the last one's end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._handler = LogHandler(_write_current)

    def add(self) -> None:
        with self._lock:
            self._users += 1
            # Every capture does this, not the first one only: a handler that never returns keeps
            # the count up, and pytest replaces the streams for each test.
            if not isinstance(sys.stdout, _Passing):
                sys.stdout = cast("TextIO", _Passing(sys.stdout, OutputStream.STDOUT))
            if not isinstance(sys.stderr, _Passing):
                sys.stderr = cast("TextIO", _Passing(sys.stderr, OutputStream.STDERR))
            if self._users == 1:
                logging.getLogger().addHandler(self._handler)

    def remove(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                # Code that has replaced the streams since, such as pytest's, restores them itself.
                if isinstance(sys.stdout, _Passing):
                    sys.stdout = cast("TextIO", sys.stdout.real)
                if isinstance(sys.stderr, _Passing):
                    sys.stderr = cast("TextIO", sys.stderr.real)
                logging.getLogger().removeHandler(self._handler)


def _write_current(line: OutputLine) -> None:
    capture = _current.get()
    if capture is not None:
        capture.write(line)


_hooks = _Hooks()
