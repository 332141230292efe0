"""`durable-runner logs`: what served functions have written, read from the folder of lines."""

from __future__ import annotations

import argparse
import heapq
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.text import visible
from ..errors import InvalidConfiguration
from ..serving.log_folder import SUFFIX, open_to_read
from . import execution_names

#: Milliseconds after which the files are looked at although no change was reported.
_LOOK_AGAIN = 1000


def add_command(commands: Any) -> None:
    logs = commands.add_parser(
        "logs",
        help="what served functions have written",
        description="Show what functions wrote that are served with --logs FOLDER.",
    )
    logs.add_argument("folder", metavar="FOLDER", type=Path)
    logs.add_argument("--function", metavar="NAME", help="only what this one wrote")
    logs.add_argument(
        "--execution", metavar="EXECUTION", help=f"only this one's: {execution_names.HELP}"
    )
    logs.add_argument("--follow", action="store_true", help="go on as lines arrive, until SIGINT")
    logs.add_argument("--json", action="store_true", help="the records as they are")
    logs.set_defaults(run=_show)


@dataclass(frozen=True, slots=True)
class _Line:
    #: The time in the record, or that of the line before where the record has none.
    time: str
    function: str
    #: The line itself, and the record that it holds.
    text: str
    record: dict[str, Any]


class _Reader:
    """Reads the files of a folder; each time it goes on where it stopped before."""

    def __init__(self, folder: Path, function: str | None, execution: str | None) -> None:
        self._folder = folder
        self._function = function
        self._execution = execution and _pattern(execution)
        self._positions: dict[Path, int] = {}

    @property
    def what(self) -> str:
        return f"{self._function or 'functions'} to write to {self._folder}"

    def new_lines(self) -> Iterator[_Line]:
        """The new lines of all files, by time as far as each file has its lines in this order."""
        return heapq.merge(*map(self._of, self.files()), key=lambda line: line.time)

    def files(self) -> list[Path]:
        if self._function is not None:
            path = self._folder / f"{self._function}{SUFFIX}"
            return [path] if os.path.lexists(path) else []
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def _of(self, path: Path) -> Iterator[_Line]:
        time = ""
        with open_to_read(path) as file:
            position = self._positions.get(path, 0)
            # The file was begun anew.
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
                if not self._execution or any(
                    isinstance(each, str) and self._execution.fullmatch(each)
                    for each in record.values()
                ):
                    yield _Line(time, path.name.removesuffix(SUFFIX), text, record)


def _pattern(execution: str) -> re.Pattern[str]:
    """What the ARN of the execution looks like."""
    if execution_names.is_arn(execution) or "/" not in execution:
        return re.compile(re.escape(execution_names.repaired(execution)))
    function, _, name = execution.rpartition("/")
    bare = re.escape(function.rpartition(":function:")[2].partition(":")[0])
    return re.compile(rf".*:function:{bare}:[^/]+/durable-execution/{re.escape(name)}/[^/]+")


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
        # Whoever read has seen enough, and nothing is to be flushed at the end.
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
    # A program that reads the records gets them as they are.
    return visible(line.text) if sys.stdout.isatty() else line.text


def _readable(line: _Line) -> str:
    record = line.record
    message = record.get("message")
    text = message if isinstance(message, str) else line.text
    if isinstance(level := record.get("level"), str):
        text = f"{level} {text}"
    if isinstance(kind := record.get("errorType"), str):
        text = f"{text} ({kind}: {record.get('errorMessage')})"
    request_id = str(record.get("requestId", ""))[:8]
    return visible(f"{line.time:<24}  {line.function}  {request_id:<8}  {text}")
