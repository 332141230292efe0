"""The coordinator and the worker hosts that this process starts for its own use.

One shared cluster serves all runners of the process; the first runner starts the cluster, and the
next one finds it dead or alive. The cluster's processes hang on *lifelines*: sockets whose other
end only this process holds, so that they end when this process ends, however it does. A cluster
knows how to start, watch and explain processes, and nothing of executions.
"""

from __future__ import annotations

import atexit
import gc
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from .. import log
from ..errors import CoordinatorUnavailable, RunnerError, WorkersUnavailable
from ..rpc import OURS, check_descriptors
from ..security import secrecy
from ..security.tls import Tls, why_not
from . import lent
from .child_process import STOP_TIMEOUT, ChildProcess
from .lent import LentCluster
from .remote import RemoteCluster

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

#: Seconds for the coordinator to say that it is ready, on a machine under load.
START_TIMEOUT = 30.0
#: How often a host that died is replaced at most within `_HOST_RESTART_WINDOW` seconds.
_HOST_RESTARTS = 3
_HOST_RESTART_WINDOW = 30.0
_MIN_SLOTS = 64
# sun_path has 104 bytes on macOS and 108 on Linux.
_MAX_SOCKET_PATH = 100


class Cluster:
    """A coordinator and the worker hosts beside it."""

    #: Their processes are out of other machines' reach.
    tls: ClassVar[Tls | None] = None

    _all: ClassVar[set[Cluster | LentCluster]] = set()

    def __init__(
        self, listen: str | None = None, shown: bool = False, least_slots: int = _MIN_SLOTS
    ) -> None:
        """Start the coordinator. This returns while it still starts; `address` waits for it.

        Args:
            listen: Where it listens ("127.0.0.1:0"); None stands for a private Unix socket.
            shown: Whether what the processes write goes to the standard error of this process.
            least_slots: How many worker processes the first host may run, if no more are wanted.
        """
        if _forked:
            raise RunnerError(
                "This process was forked from one that had a runner, and gRPC does not survive "
                'that: start it with "spawn" or "forkserver", or before the first runner.'
            )
        check_descriptors()
        self._level = log.chosen()
        self._shown = shown
        self._least_slots = least_slots
        #: What all processes of the cluster find in their environment, beside what is ours. What
        #: has Python processes measure their coverage from their start is for handlers only.
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith((OURS, "COVERAGE_PROCESS_"))
        }
        self.token = secrets.token_urlsafe(32)
        self._directory: str | None = None
        self._hosts: list[ChildProcess] = []
        #: How many worker processes the hosts may run at once.
        self.slots = 0
        self._deaths: list[float] = []
        self._trouble = ""
        self._closing = False
        #: Functions to call when the cluster has ended: they close connections that would complain.
        self.on_close: list[Callable[[], object]] = []
        self._lock = threading.RLock()
        self._listen = listen or self._private_socket()
        self._address = ""
        try:
            self.coordinator = ChildProcess(
                "coordinator",
                first_line=secrecy.line(self.token, self._listen),
                level=self._level,
                shown=self._shown,
                environment=self.environment,
            )
        except OSError as error:
            raise CoordinatorUnavailable(
                f"The coordinator could not be started: {error}"
            ) from error
        Cluster._all.add(self)

    @property
    def address(self) -> str:
        """The coordinator's address as gRPC wants it, once the coordinator listens there."""
        with self._lock:
            if not self._address:
                word, _, address = self.coordinator.read_line(START_TIMEOUT).partition(" ")
                if word != "ready":
                    self.coordinator.wait(STOP_TIMEOUT)
                    text = f"The coordinator did not start: it {self.coordinator.epitaph()}"
                    self.close()
                    raise CoordinatorUnavailable(text)
                self._address = address
            return self._address

    @property
    def alive(self) -> bool:
        return not self._closing and self.coordinator.alive

    def ensure_slots(self, workers: int) -> None:
        """Have hosts that can run `workers` worker processes at once."""
        with self._lock:
            if self.slots < workers:
                self._start_host(max(workers, self._least_slots) - self.slots)

    def obituary(self) -> str | None:
        """What is known of the coordinator's end, in a sentence; None if it is alive.

        Ask this after a call has failed. It waits for a moment, since the end of a process may be
        seen later than the end of its connection.
        """
        if self._trouble:
            return self._trouble
        if self.coordinator.wait(STOP_TIMEOUT if not self._closing else 0):
            return f"The coordinator {self.coordinator.epitaph()}"
        return None

    def close(self) -> None:
        with self._lock:
            self._closing = True
            processes = [*self._hosts, self.coordinator]
            for process in processes:
                process.cut_lifeline()
            for process in processes:
                process.end()
            self._hosts = []
            # This is not done before: a call that waits is to learn that the coordinator has
            # ended, not that its runner was closed.
            while self.on_close:
                self.on_close.pop()()
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
        Cluster._all.discard(self)

    def abandon(self) -> None:
        """Let go of the cluster without touching it, in a fork of the process that owns it."""
        self._closing = True
        for process in (*self._hosts, self.coordinator):
            process.abandon()

    def _private_socket(self) -> str:
        # The coordinator makes the folder and removes it, however this process ends. Nobody else
        # can make it before: its name cannot be guessed, and is on no command line.
        for parent in _temporary_folders():
            directory = os.path.join(parent, f"durable-{secrets.token_hex(8)}")
            path = os.path.join(directory, "coordinator.sock")
            # These characters have a meaning in gRPC's addresses.
            if len(os.fsencode(path)) < _MAX_SOCKET_PATH and not set(path) & set(",%?#"):
                self._directory = directory
                return f"unix:{path}"
        return "127.0.0.1:0"

    def _start_host(self, slots: int) -> None:
        # A Unix socket's path is known before anybody listens there, so that both processes
        # start at once; a TCP port is not.
        address = self._listen if self._listen.startswith("unix:") else self.address
        host = ChildProcess(
            "host",
            "--lifeline",
            "--slots",
            str(slots),
            first_line=secrecy.line(self.token, address),
            level=self._level,
            shown=self._shown,
            environment=self.environment,
            ended=lambda host: self._replace(host, slots),
        )
        self._hosts.append(host)
        self.slots += slots

    def _replace(self, host: ChildProcess, slots: int) -> None:
        """Start another host for one that died, so that executions under way go on."""
        with self._lock:
            if self._closing or not self.coordinator.alive:
                return
            self._hosts.remove(host)
            self.slots -= slots
            now = time.monotonic()
            self._deaths = [t for t in self._deaths if t > now - _HOST_RESTART_WINDOW] + [now]
            if len(self._deaths) <= _HOST_RESTARTS:
                host.end()
                self._start_host(slots)
                return
            # Nothing can run here any more. Ending the coordinator ends every call that waits.
            self._trouble = (
                f"The worker host died {len(self._deaths)} times within "
                f"{_HOST_RESTART_WINDOW:.0f} seconds and is not started again; the last one "
                f"{host.epitaph()}"
            )
            self._hosts.append(host)
            self.close()

    @property
    def has_host_trouble(self) -> bool:
        return bool(self._trouble)


AnyCluster = Cluster | LentCluster | RemoteCluster
"""What a runner can be attached to."""

_own: Cluster | None = None
_lent: LentCluster | None = None
_lock = threading.Lock()
#: Whether a parent process had a cluster when it forked this one.
_forked = False


def own_cluster(shown: bool = False, least_slots: int = _MIN_SLOTS) -> Cluster:
    """The cluster that this process owns; a new one, as `Cluster` has it, is started if there is
    none or it has died."""
    global _own
    with _lock:
        if _own is None or not _own.alive:
            if _own is not None:
                _own.close()
            _own = Cluster(shown=shown, least_slots=least_slots)
        return _own


def shared_cluster() -> Cluster | LentCluster:
    """The cluster that another process lends to this one, or else this one's own."""
    global _lent
    if lent.ask is None:
        return own_cluster()
    with _lock:
        address, token, environment = lent.ask("cluster", None)
        if _lent is None or _lent.address != address:
            if _lent is not None:
                _lent.close()
                Cluster._all.discard(_lent)
            _lent = LentCluster(lent.ask, address, token, environment)
            Cluster._all.add(_lent)
        return _lent


def unavailable(
    cluster: AnyCluster | None, what: str, detail: str
) -> CoordinatorUnavailable | WorkersUnavailable:
    """The error for a call that found no coordinator, with the cause and what to do.

    Args:
        cluster: The cluster that was called, if it is known.
        what: What failed, such as "The coordinator was lost during StartExecution".
        detail: What gRPC says of the failure.
    """
    obituary = cluster.obituary() if cluster is not None else None
    kind = WorkersUnavailable if cluster and cluster.has_host_trouble else CoordinatorUnavailable
    if obituary is None:
        what = f"{what} ({why_not(detail)})" if detail else what
        obituary = "Its process is alive."
    if isinstance(cluster, RemoteCluster):
        return kind(
            f"{what}. See whether the coordinator at {cluster.address} runs, and whether it can be "
            "reached from here."
        )
    return kind(f"{what}. {obituary}\nOpen a new runner to start afresh.")


def _temporary_folders() -> list[str]:
    """Where a folder for a socket may be. `tempfile` tries each by a file in it, which stays there
    if the process is killed at that moment."""
    own = os.environ.get("TMPDIR", "")
    return [own, "/tmp"] if os.path.isabs(own) and os.access(own, os.W_OK | os.X_OK) else ["/tmp"]


def _close_all() -> None:
    for cluster in list(Cluster._all):
        cluster.close()


#: The clusters of the process that this one was forked from.
_inherited: list[Cluster | LentCluster] = []


def _after_fork() -> None:
    global _own, _lent, _lock, _forked
    # A fork that frees what gRPC has made, now or when garbage is collected, hangs or is aborted.
    gc.freeze()
    _inherited.extend(Cluster._all)
    _own, _lent, _lock = None, None, threading.Lock()
    _forked = _forked or bool(Cluster._all)
    for cluster in list(Cluster._all):
        cluster.abandon()
    Cluster._all.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
