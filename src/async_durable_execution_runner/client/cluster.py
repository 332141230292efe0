"""The coordinator and the worker hosts that this process starts for its own use.

One shared cluster serves all runners of the process; it is started by the first of them
and found dead or alive by the next. Its processes hang on *lifelines*: pipes whose other
end only this process holds, so that they are gone when it is gone, however it went. It
knows how to start, watch and explain processes, and nothing of executions.
"""

from __future__ import annotations

import atexit
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
from collections.abc import Callable
from pathlib import Path
from typing import IO, ClassVar

from ..errors import CoordinatorUnavailable, RunnerError, WorkersUnavailable
from ..rpc import TOKEN_VARIABLE

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

#: Seconds for the coordinator to say that it is ready, on a machine under load.
START_TIMEOUT = 30.0
#: Seconds for a process to go once its lifeline was cut.
STOP_TIMEOUT = 2.0
#: A host that died is replaced, but not more often than this within `_HOST_RESTART_WINDOW`.
_HOST_RESTARTS = 3
_HOST_RESTART_WINDOW = 30.0
_MIN_SLOTS = 64
# sun_path has 104 bytes on macOS and 108 on Linux.
_MAX_SOCKET_PATH = 100
_PACKAGE = __name__.partition(".")[0]


class ChildProcess:
    """One process of ours: its lifeline, its end, and the last that it said."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        token: str,
        ended: Callable[[ChildProcess], None] = lambda _: None,
    ) -> None:
        """Start `module` of this package; `ended` is called, on a thread, when it has ended."""
        self._ended = threading.Event()
        self._words = ""
        # Unlinked from the start: nothing stays on disk, however this process ends.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        # `-P`: a module in the current directory must not shadow one of ours. A session of
        # its own: Ctrl-C is for the test process, which then takes the cluster down.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{_PACKAGE}.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **_import_path(), TOKEN_VARIABLE: token},
            start_new_session=True,
        )

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
        """Whether it has ended, after waiting for that for at most `timeout` seconds."""
        return self._ended.wait(timeout)

    def read_line(self, timeout: float) -> str:
        """The first line of its standard output; empty if it ended or took too long."""
        deadline = time.monotonic() + timeout
        pipe, line = self._pipe(self._process.stdout), b""
        with selectors.DefaultSelector() as readable:
            readable.register(pipe, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not readable.select(left):
                    return ""
                piece = os.read(pipe.fileno(), 1000)
                if not piece:
                    return ""
                line += piece
        return line.decode(errors="replace").strip()

    def epitaph(self) -> str:
        """How it ended and its last words: "ended by SIGKILL; it wrote nothing"."""
        code = self._process.returncode
        if code is None:
            how = f"runs (pid {self.pid})"
        elif code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"exited with code {code}"
        words = self._last_words()
        return f"{how}; its last output was:\n{words}" if words else f"{how} and wrote no error"

    def cut_lifeline(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            self._pipe(pipe).close()

    def end(self) -> None:
        """Cut its lifeline and wait until it is gone, by force where it does not go."""
        self.cut_lifeline()
        if not self.wait(STOP_TIMEOUT):
            self._process.kill()
            self._ended.wait()
        self._words = self._last_words()
        self._stderr.close()

    def abandon(self) -> None:
        """In a fork of its parent: let go of the lifeline; the process is not ours."""
        self.cut_lifeline()
        self._process.returncode = 0

    def _last_words(self, lines: int = 8) -> str:
        if self._stderr.closed:
            return self._words
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), 8000, max(0, size - 8000))
        return "\n".join(tail.decode(errors="replace").rstrip().splitlines()[-lines:])

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


class Cluster:
    """A coordinator and the worker hosts beside it."""

    _all: ClassVar[set[Cluster]] = set()

    def __init__(self, listen: str | None = None) -> None:
        """Start the coordinator, on a private Unix socket or on `listen` ("127.0.0.1:0").

        Returns while it still starts; `address` waits for it.
        """
        if _forked:
            raise RunnerError(
                "This process was forked from one that had a runner, and gRPC does not survive "
                'that: start it with "spawn" or "forkserver", or before the first runner.'
            )
        self.token = secrets.token_urlsafe(32)
        self._directory: str | None = None
        self._hosts: list[ChildProcess] = []
        #: How many worker processes its hosts may run at once.
        self.slots = 0
        self._deaths: list[float] = []
        self._trouble = ""
        self._closing = False
        #: Called before it is closed: connections that would complain of their end.
        self.on_close: list[Callable[[], object]] = []
        self._lock = threading.RLock()
        self._listen = listen or self._private_socket()
        self._address = ""
        try:
            self.coordinator = ChildProcess(
                "coordinator", "--listen", self._listen, token=self.token
            )
        except OSError as error:
            if self._directory is not None:
                os.rmdir(self._directory)
            raise CoordinatorUnavailable(
                f"The coordinator could not be started: {error}"
            ) from error
        Cluster._all.add(self)

    @property
    def address(self) -> str:
        """Where it listens, as gRPC wants it, once it does."""
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
                self._start_host(max(workers, _MIN_SLOTS) - self.slots)

    def obituary(self) -> str | None:
        """What is known of its end, in a sentence; None if it is alive.

        To be asked after a call failed: the end of a process may be seen a moment
        later than the end of its connection.
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
            # Not before: a call that waits is to learn that the coordinator has ended, not
            # that its runner was closed.
            while self.on_close:
                self.on_close.pop()()
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
        Cluster._all.discard(self)

    def abandon(self) -> None:
        """In a fork of the owner: let go of it without touching it."""
        self._closing = True
        for process in (*self._hosts, self.coordinator):
            process.abandon()
        Cluster._all.discard(self)

    def _private_socket(self) -> str:
        for parent in (None, "/tmp"):
            self._directory = tempfile.mkdtemp(prefix="durable-", dir=parent)
            path = os.path.join(self._directory, "coordinator.sock")
            # The others have a meaning in gRPC's addresses.
            if len(os.fsencode(path)) < _MAX_SOCKET_PATH and not set(path) & set(",%?#"):
                return f"unix:{path}"
            os.rmdir(self._directory)
        self._directory = None
        return "127.0.0.1:0"

    def _start_host(self, slots: int) -> None:
        # A Unix socket's path is known before anybody listens there, so that both processes
        # start at once; a TCP port is not.
        address = self._listen if self._listen.startswith("unix:") else self.address
        arguments = ("--connect", address, "--slots", str(slots), "--lifeline")
        host = ChildProcess(
            "host", *arguments, token=self.token, ended=lambda host: self._replace(host, slots)
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
            # Nothing can run here any more; ending the coordinator ends every call that waits.
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


_shared: Cluster | None = None
_shared_lock = threading.Lock()
#: Whether a parent process had a cluster when it forked this one.
_forked = False


def shared_cluster() -> Cluster:
    """The cluster of this process, started if there is none or if it died."""
    global _shared
    with _shared_lock:
        if _shared is None or not _shared.alive:
            if _shared is not None:
                _shared.close()
            _shared = Cluster()
        return _shared


def unavailable(
    cluster: Cluster | None, what: str, detail: str
) -> CoordinatorUnavailable | WorkersUnavailable:
    """The error for a call that found no coordinator: its cause, and what to do."""
    obituary = cluster.obituary() if cluster is not None else None
    kind = WorkersUnavailable if cluster and cluster.has_host_trouble else CoordinatorUnavailable
    if obituary is None:
        what, obituary = f"{what} ({detail})" if detail else what, "Its process is alive."
    return kind(f"{what}. {obituary}\nOpen a new runner to start afresh.")


def _import_path() -> dict[str, str]:
    """What the children need to find this package where it is not installed."""
    here = str(Path(__file__).resolve().parents[2])
    installed = {*sysconfig.get_paths().values(), *site.getsitepackages()}
    if here in {os.path.realpath(path) for path in installed}:
        return {}
    inherited = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (inherited, here)))}


def _close_all() -> None:
    for cluster in list(Cluster._all):
        cluster.close()


def _after_fork() -> None:
    global _shared, _shared_lock, _forked
    _shared, _shared_lock = None, threading.Lock()
    _forked = _forked or bool(Cluster._all)
    for cluster in list(Cluster._all):
        cluster.abandon()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
