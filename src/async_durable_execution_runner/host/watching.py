"""Watches files, so that whoever runs what is in them can look again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchfiles import Change

#: Milliseconds of quiet before a change is reported, and between looks at whether to stop.
_QUIET = 100
_LOOK_AGAIN = 500
#: Seconds that a thread has to end.
_STOP_TIMEOUT = 2.0


def not_reloaded(why: str) -> str:
    """What a person is told where changed code cannot be imported; `why` is a sentence."""
    return (
        f"Not reloaded: {why} What a worker has already goes on with the old code; whatever "
        "imports this anew fails until it is mended."
    )


class FileWatcher:
    """Watches Python files below some folders, and `files`.

    A folder may go, and another of its name may come: what is in it has changed then.
    `changed` is called with the paths that have changed, on a thread and one call at a time, `warn`
    with a sentence if the files cannot be watched.
    """

    def __init__(
        self,
        files: Iterable[Path],
        changed: Callable[[Collection[Path]], object],
        warn: Callable[[str], object],
    ) -> None:
        # A link may be pointed elsewhere, and what it points to may change.
        self._files = {each for path in files for each in (path.absolute(), path.resolve())}
        self._changed = changed
        self._warn = warn
        self._lock = threading.Lock()
        self._folders: set[Path] = set()
        self._stops: dict[bool, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these folders from now on, and no others; return when they are watched."""
        wanted = {path.absolute() for path in folders}
        # A file is watched through its folder: editors put another in its place.
        if self._files and False not in self._stops:
            self._begin({path.parent for path in self._files}, recursive=False)
        if wanted != self._folders:
            self._folders = wanted
            self._begin(wanted, recursive=True)

    def stop(self) -> None:
        for stop in self._stops.values():
            stop.set()
        for thread in self._threads:
            thread.join(_STOP_TIMEOUT)

    def _begin(self, folders: Collection[Path], recursive: bool) -> None:
        if recursive in self._stops:
            self._stops[recursive].set()
        stop = self._stops[recursive] = threading.Event()
        begun = threading.Event()
        thread = threading.Thread(
            target=self._watch,
            args=(folders, recursive, stop, begun),
            name="durable-reload",
            daemon=True,
        )
        self._threads.append(thread)
        thread.start()
        begun.wait()

    def _watch(
        self,
        folders: Collection[Path],
        recursive: bool,
        stop: threading.Event,
        begun: threading.Event,
    ) -> None:
        try:
            for paths in self._changes(folders, recursive, stop):
                begun.set()
                if paths and not stop.is_set():
                    with self._lock:
                        self._changed(paths)
        except (OSError, RuntimeError) as error:
            text = " ".join(str(error).split()).rstrip(".")
            self._warn(f"Changes are not noticed any more: {text}.")
        finally:
            begun.set()

    def _changes(
        self, folders: Collection[Path], recursive: bool, stop: threading.Event
    ) -> Iterator[set[Path]]:
        """Yield what has changed, and an empty set where nothing has for a while."""
        from watchfiles import DefaultFilter, PythonFilter, watch

        is_python, is_looked_at = PythonFilter(), DefaultFilter()

        def is_wanted(change: Change, path: str) -> bool:
            if not recursive:
                return Path(path) in self._files
            # What is in a folder that has been moved here is not reported.
            return is_python(change, path) or (
                is_looked_at(change, path)
                and change.name == "added"
                and any(Path(path).rglob("*.py"))
            )

        lost: set[Path] = set()
        while not stop.is_set():
            with ExitStack() as stack:
                # No other folder gets the number of one that is open.
                held: dict[Path, int] = {}
                for path in folders:
                    with suppress(FileNotFoundError, NotADirectoryError):
                        held[path] = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
                        stack.callback(os.close, held[path])
                try:
                    for changes in watch(
                        *held,
                        watch_filter=is_wanted,
                        recursive=recursive,
                        step=_QUIET,
                        stop_event=stop,
                        rust_timeout=_LOOK_AGAIN,
                        yield_on_timeout=True,
                        raise_interrupt=False,
                    ):
                        yield {Path(path) for _, path in changes} | (lost & held.keys())
                        lost -= held.keys()
                        gone = {path for path in folders if not _is_still(path, held.get(path))}
                        if gone:
                            lost |= gone
                            break
                except FileNotFoundError:
                    lost |= held.keys()


def _is_still(path: Path, held: int | None) -> bool:
    """Whether the folder at this path is the one that is open, or is still missing if none is."""
    if held is None or not path.is_dir():
        return held is None and not path.is_dir()
    return os.path.samestat(path.stat(), os.fstat(held))
