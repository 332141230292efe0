"""A folder of what handlers wrote: `serve --logs` writes it, `durable-runner logs` shows it.

Each function has a file, FUNCTION.jsonl, to which lines are appended: one JSON object on each. A
JSON object that a handler wrote is there as it came, anything else is the message of a record with
Lambda's keys. The lines of an invocation arrive together, when the invocation ends.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..core.model import OutputLine, OutputStream
from ..core.text import load_json
from ..errors import InvalidConfiguration
from ..worker.json_log import timestamp

SUFFIX = ".jsonl"


class LogFolder:
    """The folder. `warn` is called once, with a sentence, when lines cannot be written."""

    def __init__(self, folder: Path, warn: Callable[[str], object]) -> None:
        """`InvalidConfiguration` where nothing can be written there."""
        self._folder = folder
        self._warn = warn
        self._warned = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from None

    def begin(self, functions: Iterable[str]) -> None:
        """Make a file for each of these functions; `InvalidConfiguration` if that cannot be."""
        for name in functions:
            path = self._path(name)
            try:
                _append(path, b"")
            except OSError as error:
                raise _unwritable(path, error) from None

    def write(
        self,
        function_name: str,
        execution_arn: str,
        request_id: str,
        time_ms: int,
        lines: Sequence[OutputLine],
        dropped: int = 0,
    ) -> None:
        """Append what an invocation wrote.

        Args:
            function_name: The function, with a qualifier or without.
            execution_arn: The execution; empty for the invocation of a plain function.
            request_id: The invocation.
            time_ms: When the invocation ended.
            lines: What its handler wrote.
            dropped: How many lines of invocations before this one are lost.
        """
        name = function_name.partition(":")[0]
        ids = {"requestId": request_id, "functionName": name}
        if execution_arn:
            ids["executionArn"] = execution_arn
        text = "".join(f"{_record(line, ids, time_ms)}\n" for line in lines)
        if dropped:
            self._say(f"{dropped} lines are lost: more was written than could be kept.")
        path = self._path(name)
        try:
            _append(path, text.encode())
        except OSError as error:
            self._say(f"Lines are lost: {path} cannot be written to: {_why(path, error)}.")

    def _path(self, function: str) -> Path:
        return self._folder / f"{function}{SUFFIX}"

    def _say(self, sentence: str) -> None:
        if not self._warned:
            self._warned = True
            self._warn(sentence)


def _unwritable(path: Path, error: OSError) -> InvalidConfiguration:
    return InvalidConfiguration(f"--logs: {path} cannot be written to: {_why(path, error)}.")


def _why(path: Path, error: OSError) -> str:
    is_link = error.errno == errno.ELOOP and path.is_symlink()
    return "it is a symbolic link, which is not followed" if is_link else str(error.strerror)


def open_to_read(path: Path) -> BinaryIO:
    """Open the file of a function; `InvalidConfiguration` where it is a link, or no file."""
    try:
        # A pipe would keep its reader waiting for somebody who writes.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidConfiguration(f"{path} cannot be read: {_why(path, error)}.") from None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return open(file, "rb")
    os.close(file)
    raise InvalidConfiguration(f"{path} cannot be read: it is not a file.")


def _append(path: Path, data: bytes) -> None:
    # The file is opened each time, since somebody may move or delete it, and never through a link,
    # which may lead to what is not a log.
    # A pipe that nobody has opened to read would keep the server waiting.
    how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(path, how, 0o666)
    os.set_blocking(file, True)
    try:
        before, left = os.fstat(file).st_size, memoryview(data)
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            if len(left) < len(data):
                # A record must not be there by half.
                os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


def _record(line: OutputLine, ids: dict[str, str], time_ms: int) -> str:
    """A JSON object on one line: the handler's own, or one around what it wrote."""
    if _is_object(line.text):
        return line.text
    # What C code and other programs write has no time: the end of the invocation stands for it.
    record: dict[str, Any] = {"timestamp": timestamp(line.time_ms or time_ms)}
    if line.stream is OutputStream.LOG:
        record |= {"level": logging.getLevelName(line.level), "logger": line.logger}
    else:
        record["stream"] = line.stream.value
    return json.dumps({**record, "message": line.text, **ids}, ensure_ascii=False)


def _is_object(text: str) -> bool:
    if not text.startswith("{") or "\n" in text:
        return False
    try:
        load_json(text)
    except (ValueError, RecursionError):
        return False
    return True
