"""The coordinator and the worker hosts that this process starts for its own use.

One shared cluster serves all runners of the process; the first runner starts the cluster, and the
next one finds it dead or alive. The cluster's processes hang on *lifelines*: sockets whose other
end only this process holds, so that they end when this process ends, however it does. A cluster
knows how to start, watch and explain processes, and nothing of executions.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import secrets
import selectors
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import IO, ClassVar

from .. import log
from ..errors import CoordinatorUnavailable, RunnerError, WorkersUnavailable
from ..rpc import TOKEN_VARIABLE, check_descriptors
from ..security import secrecy
from . import lent
from .lent import LentCluster
from .surroundings import OURS

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

#: Seconds for the coordinator to say that it is ready, on a machine under load.
START_TIMEOUT = 30.0
#: Seconds that a process has to end once its lifeline was cut.
STOP_TIMEOUT = 2.0
#: How often a host that died is replaced at most within `_HOST_RESTART_WINDOW` seconds.
_HOST_RESTARTS = 3
_HOST_RESTART_WINDOW = 30.0
_MIN_SLOTS = 64
# sun_path has 104 bytes on macOS and 108 on Linux.
_MAX_SOCKET_PATH = 100
_PACKAGE = __name__.partition(".")[0]


class ChildProcess:
    """One process of this package: its lifeline, its end, and the last that the process wrote."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        first_line: bytes = b"",
        level: str = "",
        shown: bool = False,
        environment: Mapping[str, str] = os.environ,
        ended: Callable[[ChildProcess], None] = lambda _: None,
    ) -> None:
        """Start a process.

        Args:
            module: The module of this package that the process runs.
            arguments: The arguments of the process.
            first_line: What the process reads from its standard input first.
            level: What the process logs, which then goes to the standard error of this process
                with all else that it writes there; "" for nothing.
            shown: Whether what it writes goes to the standard error of this process anyhow.
            environment: What the process finds in its environment beside these.
            ended: Is called, on a thread of its own, when the process has ended.
        """
        self._ended = threading.Event()
        self._words = ""
        #: What has been read of lines that nobody has asked for yet.
        self._read = b""
        # The file is unlinked from the start: nothing stays on disk, however this process ends.
        self._stderr = None if level or shown else _nameless_file()
        # A handler can open a pipe that it finds in `/proc` among the descriptors of its own user's
        # processes, and so read the token there or hold the lifeline; but it cannot open a socket.
        write_end, stdin = secrecy.pair()
        read_end, stdout = secrecy.pair()
        self._stdin, self._stdout = FileIO(write_end, "wb"), FileIO(read_end, "rb")
        # `-P`, as a module in the current directory must not shadow one of this package. A session
        # of its own, as Ctrl-C is for the test process, which then takes the cluster down.
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{_PACKAGE}.{module}", *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=self._stderr,
                env=_environment(environment, level),
                start_new_session=True,
            )
        except BaseException:
            self.cut_lifeline()
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        # A process that has ended already says why when it is waited for.
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(first_line)

        def wait() -> None:
            self._process.wait()
            self._ended.set()
            ended(self)

        threading.Thread(target=wait, name=f"durable-{module}-wait", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the end of the process; whether it has ended."""
        return self._ended.wait(timeout)

    def read_line(self, timeout: float) -> str:
        """The next line of the process's standard output; empty if the process ended or took
        longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        line = self._read
        with selectors.DefaultSelector() as readable:
            readable.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in line:
                left = deadline - time.monotonic()
                if left <= 0 or not readable.select(left):
                    return ""
                piece = os.read(self._stdout.fileno(), 1000)
                if not piece:
                    return ""
                line += piece
        line, _, self._read = line.partition(b"\n")
        return line.decode(errors="replace").strip()

    def epitaph(self) -> str:
        """How the process ended, and what it wrote last: "was ended by SIGKILL and wrote no
        error"."""
        code = self._process.returncode
        if code is None:
            how = f"runs (pid {self.pid})"
        elif code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"exited with code {code}"
        if self._stderr is None:
            return f"{how} (what it wrote is on standard error)"
        words = self._last_words()
        return f"{how}; its last output was:\n{words}" if words else f"{how} and wrote no error"

    def cut_lifeline(self) -> None:
        self._stdin.close()
        self._stdout.close()

    def end(self) -> None:
        """Cut the lifeline and wait until the process has ended, by force where it does not."""
        self.cut_lifeline()
        if not self.wait(STOP_TIMEOUT):
            self._process.kill()
            self._ended.wait()
        self._words = self._last_words()
        if self._stderr is not None:
            self._stderr.close()

    def abandon(self) -> None:
        """Let go of the lifeline, in a fork of the parent: the process is not a child of the
        fork."""
        self.cut_lifeline()
        self._process.returncode = 0

    def _last_words(self, lines: int = 8) -> str:
        if self._stderr is None or self._stderr.closed:
            return self._words
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), 8000, max(0, size - 8000))
        return "\n".join(tail.decode(errors="replace").rstrip().splitlines()[-lines:])


class Cluster:
    """A coordinator and the worker hosts beside it."""

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
        Cluster._all.discard(self)

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


_shared: Cluster | LentCluster | None = None
_shared_lock = threading.Lock()
#: Whether a parent process had a cluster when it forked this one.
_forked = False


def own_cluster(shown: bool = False, least_slots: int = _MIN_SLOTS) -> Cluster:
    """The cluster that this process shares; a new one, as `Cluster` has it, is started if there is
    none or it has died."""
    global _shared
    with _shared_lock:
        if not isinstance(_shared, Cluster) or not _shared.alive:
            if _shared is not None:
                _shared.close()
            _shared = Cluster(shown=shown, least_slots=least_slots)
        return _shared


def shared_cluster() -> Cluster | LentCluster:
    """The cluster of this process, or the one that another process lends to it."""
    global _shared
    if lent.ask is None:
        return own_cluster()
    with _shared_lock:
        address, token, environment = lent.ask("cluster", None)
        if _shared is None or _shared.address != address:
            if _shared is not None:
                _shared.close()
            _shared = LentCluster(lent.ask, address, token, environment)
            Cluster._all.add(_shared)
        return _shared


def unavailable(
    cluster: Cluster | LentCluster | None, what: str, detail: str
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
        what, obituary = f"{what} ({detail})" if detail else what, "Its process is alive."
    return kind(f"{what}. {obituary}\nOpen a new runner to start afresh.")


def _nameless_file() -> IO[bytes]:
    if sys.platform == "linux":
        return open(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()


def _temporary_folders() -> list[str]:
    """Where a folder for a socket may be. `tempfile` tries each by a file in it, which stays there
    if the process is killed at that moment."""
    own = os.environ.get("TMPDIR", "")
    return [own, "/tmp"] if os.path.isabs(own) and os.access(own, os.W_OK | os.X_OK) else ["/tmp"]


def _environment(own: Mapping[str, str], level: str) -> dict[str, str]:
    """The environment of the children. No token is in it, as handlers inherit it."""
    kept = {key: value for key, value in own.items() if key != TOKEN_VARIABLE}
    return {**kept, **_import_path(own), log.VARIABLE: level}


def _import_path(environment: Mapping[str, str]) -> dict[str, str]:
    """What the children need to find this package where it is not installed."""
    here = str(Path(__file__).resolve().parents[2])
    installed = {*sysconfig.get_paths().values(), *site.getsitepackages()}
    if here in {os.path.realpath(path) for path in installed}:
        return {}
    inherited = environment.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (inherited, here)))}


def _close_all() -> None:
    for cluster in list(Cluster._all):
        cluster.close()


#: The clusters of the process that this one was forked from.
_inherited: list[Cluster | LentCluster] = []


def _after_fork() -> None:
    global _shared, _shared_lock, _forked
    # A fork that frees what gRPC has made, now or when garbage is collected, hangs or is aborted.
    gc.freeze()
    _inherited.extend(Cluster._all)
    _shared, _shared_lock = None, threading.Lock()
    _forked = _forked or bool(Cluster._all)
    for cluster in list(Cluster._all):
        cluster.abandon()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
