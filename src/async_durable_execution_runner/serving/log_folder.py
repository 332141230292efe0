"""A folder of what handlers wrote: `serve --logs` writes it, `durable-runner logs` shows it.

A file for each function, FUNCTION.jsonl, appended to: one JSON object on each line. What a
handler wrote as such is there as it came, all else as the message of a record with Lambda's
keys. The lines of an invocation arrive together, when it ends.
"""

from __future__ import annotations

import argparse
import heapq
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.model import OutputLine, OutputStream
from ..errors import InvalidConfiguration
from ..worker.json_log import timestamp

_SUFFIX = ".jsonl"
#: Milliseconds after which the files are looked at although nothing was said of them.
_LOOK_AGAIN = 1000


# -- writing -------------------------------------------------------------------------------


class LogFolder:
    """Where the lines go. `warn` is given one sentence when they cannot be written, once."""

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
        """Have a file for each of these; `InvalidConfiguration`."""
        for name in functions:
            path = self._path(name)
            try:
                path.open("ab").close()
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
        """What an invocation wrote; `dropped` lines of others before it are lost."""
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
            self._say(f"Lines are lost: {path} cannot be written to: {error.strerror}.")

    def _path(self, function: str) -> Path:
        return self._folder / f"{function}{_SUFFIX}"

    def _say(self, sentence: str) -> None:
        if not self._warned:
            self._warned = True
            self._warn(sentence)


def _unwritable(path: Path, error: OSError) -> InvalidConfiguration:
    return InvalidConfiguration(f"--logs: {path} cannot be written to: {error.strerror}.")


def _append(path: Path, data: bytes) -> None:
    # Opened each time, since somebody may move it away or delete it.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        before, left = os.fstat(file).st_size, memoryview(data)
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            if len(left) < len(data):
                # No record is there by half.
                os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


def _record(line: OutputLine, ids: dict[str, str], time_ms: int) -> str:
    """A JSON object on one line: the handler's own, or one around what it wrote."""
    if _is_object(line.text):
        return line.text
    # What C code and other programs write has no time of its own: it was there at the end.
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
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


# -- showing -------------------------------------------------------------------------------


def add_command(commands: Any) -> None:
    logs = commands.add_parser(
        "logs",
        help="what served functions have written",
        description="Show what functions wrote that are served with --logs FOLDER.",
    )
    logs.add_argument("folder", metavar="FOLDER", type=Path)
    logs.add_argument("--function", metavar="NAME", help="only what this one wrote")
    logs.add_argument("--execution", metavar="ARN", help="only what was written in this one")
    logs.add_argument("--follow", action="store_true", help="go on as lines arrive, until SIGINT")
    logs.add_argument("--json", action="store_true", help="the records as they are")
    logs.set_defaults(run=_show)


@dataclass(frozen=True, slots=True)
class _Line:
    #: As in the record; of one that has none, that of the line before.
    time: str
    function: str
    #: The line itself, and what is in it.
    text: str
    record: dict[str, Any]


class _Reader:
    """Reads on where it stopped before."""

    def __init__(self, folder: Path, function: str | None, execution: str | None) -> None:
        self._folder = folder
        self._function = function
        self._execution = execution
        self._positions: dict[Path, int] = {}

    @property
    def what(self) -> str:
        return f"{self._function or 'functions'} to write to {self._folder}"

    def new_lines(self) -> Iterator[_Line]:
        """Of all files, by time as far as each has them so."""
        return heapq.merge(*map(self._of, self.files()), key=lambda line: line.time)

    def files(self) -> list[Path]:
        if self._function is not None:
            path = self._folder / f"{self._function}{_SUFFIX}"
            return [path] if path.is_file() else []
        return sorted(self._folder.glob(f"*{_SUFFIX}"))

    def _of(self, path: Path) -> Iterator[_Line]:
        time = ""
        with path.open("rb") as file:
            position = self._positions.get(path, 0)
            # It was begun anew.
            if os.fstat(file.fileno()).st_size < position:
                position = 0
            file.seek(position)
            for data in file:
                if not data.endswith(b"\n"):
                    break
                position += len(data)
                self._positions[path] = position
                text = data.decode(errors="replace").rstrip("\n")
                record = _read(text)
                time = str(record.get("timestamp", time))
                if self._execution is None or self._execution in record.values():
                    yield _Line(time, path.name.removesuffix(_SUFFIX), text, record)


def _read(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    return record if isinstance(record, dict) else {"message": text}


def _show(arguments: argparse.Namespace) -> int:
    reader = _Reader(arguments.folder, arguments.function, arguments.execution)
    show = _raw if arguments.json else _readable
    try:
        if arguments.follow:
            _follow(arguments.folder, reader, show)
        elif not arguments.folder.is_dir():
            raise InvalidConfiguration(
                f"There is no folder {arguments.folder}: `durable-runner serve --logs` makes one."
            )
        elif not reader.files():
            raise InvalidConfiguration(f"Nothing is there yet: --follow waits for {reader.what}.")
        else:
            _print(reader, show)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Whoever read it has seen enough; nor is anything to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise InvalidConfiguration(f"{error.filename} cannot be read: {error.strerror}.") from None
    return 0


def _follow(folder: Path, reader: _Reader, show: Callable[[_Line], str]) -> None:
    if not reader.files():
        sys.stderr.write(f"Waiting for {reader.what}.\n")
        sys.stderr.flush()
    while not folder.is_dir():
        there = next(parent for parent in folder.absolute().parents if parent.is_dir())
        next(_changes(there, recursive=False))
    _print(reader, show)
    for _ in _changes(folder, recursive=False):
        _print(reader, show)


def _changes(folder: Path, recursive: bool) -> Iterator[object]:
    from watchfiles import watch

    return watch(
        folder,
        watch_filter=None,
        recursive=recursive,
        step=20,
        rust_timeout=_LOOK_AGAIN,
        yield_on_timeout=True,
    )


def _print(reader: _Reader, show: Callable[[_Line], str]) -> None:
    for line in reader.new_lines():
        sys.stdout.write(f"{show(line)}\n")
    sys.stdout.flush()


def _raw(line: _Line) -> str:
    return line.text


def _readable(line: _Line) -> str:
    record = line.record
    message = record.get("message")
    text = message if isinstance(message, str) else line.text
    if isinstance(level := record.get("level"), str):
        text = f"{level} {text}"
    if isinstance(kind := record.get("errorType"), str):
        text = f"{text} ({kind}: {record.get('errorMessage')})"
    request_id = str(record.get("requestId", ""))[:8]
    return f"{line.time:<24}  {line.function}  {request_id:<8}  {text}"
