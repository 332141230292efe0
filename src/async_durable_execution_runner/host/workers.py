"""The workers of a host, which its forkserver forks, kills, limits and inspects."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from .. import log
from ..rpc import codec
from ..rpc.v1 import worker_pb2
from ..security import secrecy
from ..security.tls import Tls
from ..worker import output, stacks


@dataclass(slots=True)
class _Worker:
    output: IO[bytes]
    pid: int = 0


class Workers:
    def __init__(
        self,
        forkserver: socket.socket,
        forkserver_pid: int,
        report: Callable[[worker_pb2.SuperviseRequest], None],
        lost: Callable[[], None],
    ) -> None:
        """Take over a forkserver.

        Args:
            forkserver: A socket to a child that runs `forkserver.main`.
            forkserver_pid: The pid of that child.
            report: Is called with what the coordinator is to know.
            lost: Is called when the forkserver is gone, after the reports of its workers' ends.
        """
        # The folder is found now, so that a later failure to make a file there has its own reason.
        tempfile.gettempdir()
        self._forkserver = forkserver
        self._forkserver_pid = forkserver_pid
        self._report = report
        self._lost = lost
        self._workers: dict[str, _Worker] = {}
        self._pending = b""
        self._reading: set[asyncio.Task[None]] = set()
        self._say = log.info(__name__)

    def __len__(self) -> int:
        return len(self._workers)

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear the forkserver on this loop."""
        loop.add_reader(self._forkserver, self._hear)

    def start(self, order: worker_pb2.StartWorker, address: str, tls: Tls | None) -> None:
        """Start a worker, or report why there is none.

        Args:
            order: The coordinator's order.
            address: Where the worker finds the coordinator.
            tls: What the host knows the coordinator by.
        """
        worker_id = order.worker_id
        try:
            file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed at its exit
        except OSError as error:
            self._not_started(worker_id, f"no temporary file for its output: {error}")
            return
        try:
            secret = secrecy.tell(order.credential, address, tls and tls.without_own())
        except OSError as error:
            file.close()
            self._not_started(worker_id, f"no socket for its credential: {error}")
            return
        # The worker, its children and the C code in them always append to the file.
        fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
        self._workers[worker_id] = _Worker(file)
        start = {"start": worker_id, "sdks": list(order.sdks), "coverage": order.coverage}
        self.tell(start, [file.fileno(), secret])
        os.close(secret)

    def kill_all(self) -> None:
        for worker_id in list(self._workers):
            self.tell({"kill": worker_id})

    def _not_started(self, worker_id: str, why: str) -> None:
        if (say := self._say) is not None:
            say("host: worker %s could not be started: %s", log.short(worker_id), why)
        exited = worker_pb2.WorkerExited(
            worker_id=worker_id, cause=worker_pb2.EXIT_CAUSE_NOT_STARTED, detail=why
        )
        self._report(worker_pb2.SuperviseRequest(exited=exited))

    def tell(self, order: dict[str, Any], fds: list[int] | None = None) -> None:
        """Give the forkserver an order, with descriptors for the worker that it forks."""
        data = json.dumps(order).encode() + b"\n"
        try:
            if fds:
                socket.send_fds(self._forkserver, [data], fds)
            else:
                self._forkserver.sendall(data)
        except OSError:
            self._lose()

    def _hear(self) -> None:
        try:
            data = self._forkserver.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._note(json.loads(line))

    def _note(self, report: dict[str, Any]) -> None:
        match report:
            case {"started": str(worker_id), "pid": int(pid)}:
                self._workers[worker_id].pid = pid
                if (say := self._say) is not None:
                    say("host: worker %s was forked (pid %d)", log.short(worker_id), pid)
            case {"failed": str(worker_id), "why": str(why)}:
                self._workers.pop(worker_id).output.close()
                self._not_started(worker_id, why)
            case {"exited": str(worker_id), "status": int(status)}:
                exited = worker_pb2.WorkerExited(peak_memory_bytes=report["peak"])
                if os.WIFSIGNALED(status):
                    exited.cause = worker_pb2.EXIT_CAUSE_SIGNALED
                    exited.signal = os.WTERMSIG(status)
                else:
                    exited.cause = worker_pb2.EXIT_CAUSE_EXITED
                    exited.exit_code = os.WEXITSTATUS(status)
                if report["memory"]:
                    exited.cause = worker_pb2.EXIT_CAUSE_MEMORY
                self._exited(worker_id, exited)
            case {"inspected": str(worker_id)}:
                reading = asyncio.ensure_future(self._read_stacks(worker_id, report))
                self._reading.add(reading)
                reading.add_done_callback(self._reading.discard)

    async def _read_stacks(self, worker_id: str, report: dict[str, Any]) -> None:
        # The lines of source may be on a slow disk.
        dumps, verdict = await asyncio.to_thread(
            stacks.report, report["answers"], report["busy"], report["why"]
        )
        taken = worker_pb2.WorkerStacks(
            worker_id=worker_id, request_id=report["request"], dumps=dumps, verdict=verdict
        )
        if (worker := self._workers.get(worker_id)) is not None:
            lines, _ = output.read(worker.output.fileno())
            taken.output.extend(codec.line_to_proto(line) for line in lines)
        self._report(worker_pb2.SuperviseRequest(stacks=taken))

    def _exited(self, worker_id: str, exited: worker_pb2.WorkerExited) -> None:
        worker = self._workers.pop(worker_id)
        lines, truncated = output.read(worker.output.fileno())
        worker.output.close()
        exited.worker_id = worker_id
        exited.output.extend(codec.line_to_proto(line) for line in lines)
        exited.output_truncated = truncated
        if (say := self._say) is not None:
            say("host: worker %s (pid %d) ended%s", log.short(worker_id), worker.pid, _how(exited))
        self._report(worker_pb2.SuperviseRequest(exited=exited))

    def _lose(self) -> None:
        if (say := self._say) is not None:
            say("host: lost its forkserver, and with it %d workers", len(self._workers))
        for worker_id, worker in list(self._workers.items()):
            if worker.pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(worker.pid, signal.SIGKILL)
            self._exited(
                worker_id,
                worker_pb2.WorkerExited(
                    cause=worker_pb2.EXIT_CAUSE_UNKNOWN, detail="the host lost its forkserver"
                ),
            )
        self._lost()

    def dismiss(self) -> None:
        """Let the forkserver kill all workers, and wait until the forkserver is gone."""
        asyncio.get_running_loop().remove_reader(self._forkserver)
        if not self._workers:
            # The forkserver may be busy with its imports.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._forkserver_pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._forkserver.shutdown(socket.SHUT_WR)
            self._forkserver.settimeout(2)
            while self._forkserver.recv(65536):
                pass


def _how(exited: worker_pb2.WorkerExited) -> str:
    """Say how a worker ended, for the end of the log's line."""
    match exited.cause:
        case worker_pb2.EXIT_CAUSE_EXITED:
            return f" with exit status {exited.exit_code}"
        case worker_pb2.EXIT_CAUSE_SIGNALED:
            return f" by signal {exited.signal}"
        case worker_pb2.EXIT_CAUSE_MEMORY:
            return f", out of memory: {exited.peak_memory_bytes} bytes"
        case _:
            return f": {exited.detail}"
