"""Watches files, so that whoever serves what is in them can look again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchfiles import Change

#: Milliseconds of quiet before a change is reported, and between looks at whether to stop.
_QUIET = 100
_LOOK_AGAIN = 500
#: Seconds that a thread has to end.
_STOP_TIMEOUT = 2.0


class FileWatcher:
    """Watches Python files below some folders, and `files`.

    `changed` is called with the paths that have changed, on a thread and one call at a time, `warn`
    with a sentence if the files cannot be watched.
    """

    def __init__(
        self,
        files: Iterable[Path],
        changed: Callable[[Collection[Path]], object],
        warn: Callable[[str], object],
    ) -> None:
        self._files = {path.resolve() for path in files}
        self._changed = changed
        self._warn = warn
        self._lock = threading.Lock()
        self._folders: set[Path] = set()
        self._stops: dict[bool, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these folders from now on, and no others; return when they are watched."""
        wanted = {path.resolve() for path in folders}
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
        from watchfiles import PythonFilter, watch

        is_python = PythonFilter()

        def is_wanted(change: Change, path: str) -> bool:
            return is_python(change, path) if recursive else Path(path) in self._files

        try:
            for changes in watch(
                *folders,
                watch_filter=is_wanted,
                recursive=recursive,
                step=_QUIET,
                stop_event=stop,
                rust_timeout=_LOOK_AGAIN,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                begun.set()
                if changes and not stop.is_set():
                    with self._lock:
                        self._changed({Path(path) for _, path in changes})
        except (OSError, RuntimeError) as error:
            text = " ".join(str(error).split()).rstrip(".")
            self._warn(f"Changes are not noticed any more: {text}.")
        finally:
            begun.set()
