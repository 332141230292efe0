"""The processes of a cluster as the system sees them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from processes import Watched

from async_durable_execution_runner import DurableFunctionTestRunner


def _children() -> dict[int, list[int]]:
    """All processes of the machine, by parent."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        state, parent = text.rpartition(")")[2].split()[:2]
        if state != "Z":
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    return children


def descendants(pid: int) -> list[int]:
    children, found = _children(), [pid]
    for each in found:
        found += children.get(each, [])
    return found[1:]


def unknown_descendants(runner: DurableFunctionTestRunner, within: float = 2.0) -> list[int]:
    """Processes below this one that are neither of the cluster nor gone `within` seconds."""
    left = set(descendants(os.getpid())) - _known(runner)
    latest = time.monotonic() + within
    while left and time.monotonic() < latest:
        # One that was about to start says its name in a moment.
        left = {pid for pid in left if not is_gone(pid, 0.05)} - _known(runner)
    return sorted(left)


def _known(runner: DurableFunctionTestRunner) -> set[int]:
    status = runner.status()
    hosts = [host.pid for host in status.hosts]
    forkservers = [pid for host in hosts for pid in _children().get(host, [])]
    return {status.pid, *hosts, *forkservers, *(each.pid for each in status.workers)}


def is_gone(pid: int, within: float = 2.0) -> bool:
    try:
        process = Watched(pid)
    except ProcessLookupError:
        return True
    try:
        return process.gone(within)
    finally:
        process.close()
