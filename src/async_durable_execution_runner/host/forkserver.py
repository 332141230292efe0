"""The warm process that workers are forked from: it has imported the SDK and gRPC, opens no
channel and collects no garbage.

The forkserver is the parent of all workers and the only process that reaps or signals them, so
no pid can be mistaken for another's. It is single-threaded and does nothing else. The host and the
forkserver speak over a socket, with one JSON object per line. `start` comes with two descriptors:
the worker's output file, and the socket with the worker's credential, which only the worker reads.
When the socket ends, the forkserver kills every worker, and all that a worker has left, and exits.

Orders: {"start": id, "sdks": names, "coverage": bool}, {"kill": id}, {"limit": id, "bytes": n},
{"stop": id, "on": bool}, {"inspect": id, "request": request id}.
Reports: {"started": id, "pid": n}, {"failed": id, "why": text},
{"exited": id, "status": wait status, "memory": bool, "peak": bytes},
{"inspected": id, "request": request id, "answers": texts, "busy": share or null, "why": text}.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from . import orphans
from .inspection import Inspection

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_POLL_MEMORY = 0.05


@dataclass(slots=True)
class _Worker:
    worker_id: str
    pid: int
    #: The descriptor of the pipe that the worker's stacks come through.
    stacks: int
    inspection: Inspection | None = None
    limit: int = 0
    over_limit: bool = False
    #: The bytes that the worker had at the last look; the kernel's account of a peak may be less.
    seen: int = 0


def main(host: socket.socket) -> NoReturn:
    """Serve the host on the other end of `host` until it is gone."""
    code = 1
    try:
        # Ctrl-C in a terminal reaches the whole group; the host alone decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Forkserver(host).run()
        code = 0
    except (BrokenPipeError, ConnectionResetError):
        code = 0
    finally:
        os._exit(code)


class Forkserver:
    """The forkserver's loop and the workers that are alive."""

    def __init__(self, host: socket.socket) -> None:
        self._host = host
        self._workers: dict[str, _Worker] = {}
        self._pending = b""
        self._fds: list[int] = []
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._prctl(_PR_SET_NAME, b"durable-zygote")

    def run(self) -> None:
        """Import what workers need, then serve the host until the host is gone."""
        # While the forkserver has no workers to kill, it may be killed itself.
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # These import the SDK that the runner depends on, gRPC, and all else that a worker needs.
        from ..worker import process  # noqa: F401
        from ..worker.sdk import async_client, asynchronous  # noqa: F401

        self._prctl(_PR_SET_PDEATHSIG, 0)
        # Nothing may touch the memory that workers share. They collect only their own garbage.
        gc.freeze()
        wake, wakened = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(wakened, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
        self._wake = (wake, wakened)
        orphans.adopt()
        try:
            self._loop(wake)
        finally:
            self._kill_all()

    def _loop(self, wake: int) -> None:
        while True:
            limited = any(worker.limit for worker in self._workers.values())
            inspected = [each for each in self._workers.values() if each.inspection is not None]
            host = self._host.fileno()
            pipes = [worker.stacks for worker in inspected]
            ready, _, _ = select.select([host, wake, *pipes], [], [], self._patience(limited))
            for worker in inspected:
                self._inspect(worker, worker.stacks in ready)
            if wake in ready:
                os.read(wake, 4096)
                self._reap()
            if host in ready and not self.receive():
                return
            if limited:
                self._check_memory()

    def _patience(self, limited: bool) -> float | None:
        """Return the seconds until there is something to do; None waits for ever."""
        due = [each.inspection.due for each in self._workers.values() if each.inspection]
        left = [max(0.0, min(due) - time.monotonic())] if due else []
        return min([*left, *([_POLL_MEMORY] if limited else [])], default=None)

    def receive(self) -> bool:
        """Carry out what the host has sent; return False when the host is gone."""
        data, fds, _, _ = socket.recv_fds(self._host, 65536, 64)
        self._fds += fds
        if not data:
            return False
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return True

    def _obey(self, order: dict[str, Any]) -> None:
        match order:
            case {"start": str(worker_id)} if len(self._fds) < 2:
                self._report(failed=worker_id, why="no descriptor is left for its output")
                while self._fds:
                    os.close(self._fds.pop())
            case {"start": str(worker_id), "sdks": list(sdks), "coverage": bool(coverage)}:
                _preload(sdks, coverage)
                self._start(worker_id, self._fds.pop(0), self._fds.pop(0))
            case {"kill": str(worker_id)}:
                if (worker := self._workers.get(worker_id)) is not None:
                    _kill(worker.pid)
            case {"limit": str(worker_id), "bytes": int(limit)}:
                if (worker := self._workers.get(worker_id)) is not None:
                    worker.limit = limit
            case {"stop": str(worker_id), "on": bool(on)}:
                if (worker := self._workers.get(worker_id)) is not None:
                    _signal(worker.pid, signal.SIGSTOP if on else signal.SIGCONT)
            case {"inspect": str(worker_id), "request": str(request_id)}:
                if (worker := self._workers.get(worker_id)) is not None:
                    worker.inspection = Inspection(worker.pid, worker.stacks, request_id)

    def _inspect(self, worker: _Worker, readable: bool) -> None:
        inspection = worker.inspection
        assert inspection is not None
        if readable:
            inspection.read()
        if not inspection.done and time.monotonic() >= inspection.due:
            inspection.pass_time()
        if inspection.done:
            self._end_inspection(worker, inspection)

    def _end_inspection(self, worker: _Worker, inspection: Inspection) -> None:
        worker.inspection = None
        self._report(
            inspected=worker.worker_id,
            request=inspection.request_id,
            answers=inspection.answers,
            busy=inspection.busy,
            why=inspection.why,
        )

    def _report(self, **report: Any) -> None:
        self._host.sendall(json.dumps(report).encode() + b"\n")

    def _start(self, worker_id: str, output: int, secret: int) -> None:
        parent = os.getpid()
        pipe: tuple[int, ...] = ()
        try:
            pipe = os.pipe()
            pid = os.fork()
        except OSError as error:
            self._report(failed=worker_id, why=f"fork failed: {error}")
            for fd in (output, secret, *pipe):
                os.close(fd)
            return
        stacks, answers = pipe
        if pid == 0:
            os.close(stacks)
            self._become_worker(worker_id, output, secret, answers, parent)
        os.close(output)
        os.close(secret)
        os.close(answers)
        os.set_blocking(stacks, False)
        self._workers[worker_id] = _Worker(worker_id, pid, stacks)
        self._report(started=worker_id, pid=pid)

    def _become_worker(
        self, worker_id: str, output: int, secret: int, answers: int, parent: int
    ) -> NoReturn:
        from ..worker import process

        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            orphans.adopt()
            self._prctl(_PR_SET_NAME, b"durable-worker")
            self._host.close()
            for fd in (*self._wake, *self._fds, *(each.stacks for each in self._workers.values())):
                os.close(fd)
            process.main(worker_id, output, secret, answers)
        finally:
            os._exit(1)

    def _reap(self) -> None:
        for worker in list(self._workers.values()):
            state = os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if state is not None:
                self._bury(worker)
        orphans.kill(keep={worker.pid for worker in self._workers.values()})

    def _bury(self, worker: _Worker) -> None:
        # The worker is not reaped yet: until then no other process group can have its id.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)
        _, status, usage = os.wait4(worker.pid, 0)
        if worker.inspection is not None:
            worker.inspection.end("the worker ended meanwhile")
            self._end_inspection(worker, worker.inspection)
        os.close(worker.stacks)
        del self._workers[worker.worker_id]
        self._report(
            exited=worker.worker_id,
            status=status,
            memory=worker.over_limit,
            peak=max(worker.seen, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)),
        )

    def _check_memory(self) -> None:
        for worker in self._workers.values():
            if not worker.limit or worker.over_limit:
                continue
            worker.seen = _resident(worker.pid)
            if worker.seen > worker.limit:
                worker.over_limit = True
                _kill(worker.pid)

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            _kill(worker.pid)
        for worker in self._workers.values():
            os.waitpid(worker.pid, 0)
        orphans.kill_all()

    def _prctl(self, option: int, value: int | bytes) -> None:
        if self._libc is not None:
            self._libc.prctl(option, value, 0, 0, 0)


def _preload(sdks: Iterable[str], coverage: bool) -> None:
    """Import these adapters, with their SDKs, and what measures coverage, once for all workers that
    are forked from now on."""
    from ..worker import covered

    # Where one cannot be imported, the handler that needs it says so.
    for sdk in sdks:
        with contextlib.suppress(Exception):
            import_module(f"..worker.sdk.{sdk}", __package__)
        gc.freeze()
    if coverage:
        with contextlib.suppress(Exception):
            covered.preload()
        gc.freeze()


def _kill(pid: int) -> None:
    _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    """Signal the group of a worker that is not reaped yet."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # The worker was forked just now, and does not lead its group yet.
        os.kill(pid, number)


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
