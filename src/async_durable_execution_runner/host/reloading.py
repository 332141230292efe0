"""`worker-host --reload`: looks at code that has changed, and says so."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from .watching import FileWatcher, not_reloaded


class Reloading:
    """Watches the Python files below a folder until it is ended.

    Args:
        folder: The folder.
        changed: Called on a thread, with a sentence, when files have changed that Python can read.
        tell: Called on a thread, with a sentence, when one of them cannot be read.
    """

    def __init__(
        self, folder: str, changed: Callable[[str], object], tell: Callable[[str], object]
    ) -> None:
        self._folder = Path(folder)
        self._changed = changed
        self._tell = tell
        self._watcher = FileWatcher((), self._look, tell)
        #: What has changed since the code was loaded anew.
        self._paths: set[Path] = set()

    def begin(self) -> None:
        """Watch. Blocks until it does."""
        self._watcher.watch([self._folder])

    def end(self) -> None:
        self._watcher.stop()

    def _look(self, paths: Collection[Path]) -> None:
        self._paths.update(paths)
        for path in sorted(self._paths):
            if slip := _slip(path):
                self._tell(not_reloaded(slip))
                return
        names = ", ".join(sorted(path.name for path in self._paths))
        self._paths.clear()
        self._changed(f"Reloaded: {names}")


def _slip(path: Path) -> str:
    """What is wrong with a module, as a sentence; "" where nothing is."""
    if path.suffix != ".py" or not path.is_file():
        return ""
    try:
        compile(path.read_bytes(), path, "exec", dont_inherit=True)
    except Exception as error:
        # The thread that watches has to live through whatever a half-written file leads to.
        return f"{path} cannot be imported: {type(error).__name__}: {error}."
    return ""
