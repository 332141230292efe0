"""The watcher of files, for `serve --reload` and `worker-host --reload`."""

from __future__ import annotations

import queue
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from async_durable_execution_runner.host.watching import FileWatcher


@pytest.fixture
def changes() -> queue.SimpleQueue[Collection[Path]]:
    return queue.SimpleQueue()


@pytest.fixture
def watcher(changes: queue.SimpleQueue[Collection[Path]]) -> Iterator[FileWatcher]:
    watcher = FileWatcher([], changes.put, pytest.fail)
    yield watcher
    watcher.stop()


def test_a_folder_that_has_gone_and_come_back_is_watched(
    tmp_path: Path, watcher: FileWatcher, changes: queue.SimpleQueue[Collection[Path]]
):
    """So it is after a build, or a switch of branches."""
    code = tmp_path / "code"
    module = code / "m.py"
    code.mkdir()
    watcher.watch([code])
    shutil.rmtree(code)
    code.mkdir()
    while code not in changes.get(timeout=10):
        pass
    module.touch()
    while module not in changes.get(timeout=10):
        pass


def test_a_link_that_is_pointed_elsewhere_is_a_change(
    tmp_path: Path, watcher: FileWatcher, changes: queue.SimpleQueue[Collection[Path]]
):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    link = tmp_path / "code"
    link.symlink_to("old")
    watcher.watch([link])
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").rename(link)
    assert changes.get(timeout=10) == {link}


def test_a_package_that_is_moved_here_is_a_change(
    tmp_path: Path, watcher: FileWatcher, changes: queue.SimpleQueue[Collection[Path]]
):
    (tmp_path / "code").mkdir()
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "m.py").touch()
    watcher.watch([tmp_path / "code"])
    (tmp_path / "built").rename(tmp_path / "code" / "package")
    assert changes.get(timeout=10) == {tmp_path / "code" / "package"}
