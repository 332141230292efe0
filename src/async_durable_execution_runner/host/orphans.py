"""Orphans are processes that a handler started and whose parent has ended, such as daemons.

On Linux they fall to the nearest ancestor that adopts: to the worker while it lives, then to the
forkserver, and where the forkserver has ended to the host. So whatever these two find among their
children that they did not fork is what a dead worker has left, in whichever session it may be.
Elsewhere orphans fall to the system's first process, and nothing here does anything.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Collection

_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Have the orphans below this process become its children, and not the system's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill(keep: Collection[int]) -> None:
    """Kill the children of this process but for `keep`; the children of those fall to it then.

    A process with one thread calls this at each SIGCHLD, and again as long as orphans come.
    """
    for pid in _children():
        if pid not in keep:
            _kill(pid, os.WNOHANG)


def kill_all() -> None:
    """Kill and reap all children of this process, and what falls to it from them."""
    spared: set[int] = set()
    while left := set(_children()) - spared:
        spared |= {pid for pid in left if not _kill(pid, 0)}


def _kill(pid: int, options: int) -> bool:
    """Kill and reap a child; return whether this process may kill it."""
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return False
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, options)
    return True


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as children:
            return list(map(int, children.read().split()))
    except OSError:
        return []
