"""The worker host: supervises the workers of one machine on the coordinator's orders.

The host starts and kills workers through its forkserver and reports how each worker ended, with
the last lines that the worker wrote. It decides nothing by itself, except that without a
coordinator (or, with a lifeline, without the process that started the host) no worker may live. A
host that stays when it loses its coordinator kills its workers and joins again as soon as it can;
when it is told to end by SIGTERM it lets them finish what they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio

from .. import errors, log
from ..rpc import PROTOCOL_VERSION
from ..rpc.health import answer_probes
from ..rpc.v1 import worker_pb2, worker_pb2_grpc
from ..security import access
from ..security.tls import why_not
from ..worker.connection import Connection
from ..worker.session import greet, refusal
from . import labels, orphans
from .reloading import Reloading
from .workers import Workers

#: Seconds for which a host that a person starts tries to reach the coordinator.
_PATIENCE = 30
#: Seconds between two attempts to join at most, and after a refusal that may have been lifted.
_PAUSE, _REFUSED_PAUSE = 1.0, 15
_FORKSERVER_LOST = errors.WorkersUnavailable(
    "The worker host lost the process that forks its workers."
)


@dataclass
class WorkerHost:
    """One run of a worker host.

    Args:
        connection: The coordinator's address and token.
        forkserver: A socket to a child that runs `forkserver.main`.
        forkserver_pid: The pid of that child.
        slots: How many workers the coordinator may have here at most.
        lifeline: A descriptor; the run ends when nobody has its other end open any more.
        labels: What describes this machine to the coordinator.
        stays: Whether this host joins again when it has lost its coordinator, and lets invocations
            end after a SIGTERM.
        drain_timeout: Seconds that they have then.
        joined: Is called when the coordinator has taken this host for the first time.
        health_address: Where probes are answered in plaintext; "" for nowhere.
        reload_from: A folder; workers that have loaded code serve no more when it changes there.
        files: Where the token and what TLS needs came from, to be read anew.
    """

    connection: Connection
    forkserver: socket.socket
    forkserver_pid: int
    slots: int
    lifeline: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    stays: bool = False
    drain_timeout: float = 0.0
    joined: Callable[[], object] = lambda: None
    health_address: str = ""
    reload_from: str = ""
    files: access.Files | None = None

    def __post_init__(self) -> None:
        orphans.adopt()
        self._workers = Workers(
            self.forkserver, self.forkserver_pid, self._report, self._forkserver_lost
        )
        self._reports: asyncio.Queue[worker_pb2.SuperviseRequest | None] = asyncio.Queue()
        self._reporting: asyncio.Task[None] | None = None
        #: Whether this host has ever joined, whether it had when it last lost the coordinator, and
        #: whether it is connected now.
        self._joined = self._member = self._connected = False
        self._draining = False
        #: What is said when the coordinator has heard of it, change by change.
        self._changes: deque[str] = deque()
        self._workers_address = self.connection.address
        self._say = log.info(__name__)

    async def run(self) -> None:
        """Supervise workers until the lifeline ends or a signal comes.

        Raises:
            CoordinatorUnavailable: The coordinator does not answer, or has gone, and this host does
                not stay or was never connected.
            WorkersUnavailable: The forkserver has died.
            RunnerError: The coordinator refuses this host.
            InvalidConfiguration: Probes cannot be answered at their address.
        """
        if self.health_address:
            await self._answer_probes()
        loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = loop.create_future()
        self._workers.listen(loop)
        if self.lifeline is not None:
            loop.add_reader(self.lifeline, self._hear_lifeline)
        self._handle_signals(loop)
        reloading = Reloading(self.reload_from, partial(self._code_changed, loop), _tell)
        try:
            if self.reload_from:
                # What changes once the host has joined is noticed.
                await asyncio.to_thread(reloading.begin)
            supervision = asyncio.ensure_future(self._supervise_again_and_again())
            await asyncio.wait({supervision, self._end}, return_when=asyncio.FIRST_COMPLETED)
            if self._end.done():
                supervision.cancel()
                self._end.result()
            else:
                supervision.result()
        finally:
            self._workers.dismiss()
            orphans.kill_all()
            reloading.end()

    async def _answer_probes(self) -> None:
        def serves() -> bool:
            return self._connected and not self._draining

        try:
            address, self._probes = await answer_probes(self.health_address, serves)
        except OSError as error:
            raise errors.InvalidConfiguration(str(error)) from None
        _tell(f"Probes are answered on {address}, in plaintext.")

    def _handle_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.stays:
            loop.add_signal_handler(signal.SIGTERM, self._drain)
            loop.add_signal_handler(signal.SIGINT, self._finish)
            loop.add_signal_handler(signal.SIGQUIT, self._finish)
        else:
            loop.add_signal_handler(signal.SIGTERM, self._finish)
            # Ctrl-C in a terminal is for the test process, which then lets go of the lifeline.
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _drain(self) -> None:
        """End when the invocations that run here have ended, or their time is up."""
        if not self._member or self._draining:
            self._finish()
            return
        self._draining = True
        _tell(
            f"This host takes no more invocations, and ends when those that run in its "
            f"{len(self._workers)} workers have ended, or in {self.drain_timeout:g} s; SIGQUIT "
            "ends it now."
        )
        self._reports.put_nowait(worker_pb2.SuperviseRequest(draining=worker_pb2.Draining()))
        asyncio.get_running_loop().call_later(self.drain_timeout, self._finish)
        self._finish_if_drained()

    def _report(self, report: worker_pb2.SuperviseRequest) -> None:
        self._reports.put_nowait(report)
        self._finish_if_drained()

    def _forkserver_lost(self) -> None:
        # The last reports go out first.
        self._reports.put_nowait(None)
        if self._reporting is None:
            self._finish(_FORKSERVER_LOST)

    def _finish_if_drained(self) -> None:
        if self._draining and not self._workers:
            # The last reports go out first.
            self._reports.put_nowait(None)

    def _code_changed(self, loop: asyncio.AbstractEventLoop, what: str) -> None:
        """Have the coordinator give no work to workers with the old code. On any thread."""

        def report() -> None:
            self._changes.append(what)
            changed = worker_pb2.CodeChanged()
            self._reports.put_nowait(worker_pb2.SuperviseRequest(code_changed=changed))

        loop.call_soon_threadsafe(report)

    def _finish(self, error: Exception | None = None) -> None:
        if self._end.done():
            return
        if error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(error)

    def _hear_lifeline(self) -> None:
        assert self.lifeline is not None
        if not os.read(self.lifeline, 4096):
            self._finish()

    async def _supervise_again_and_again(self) -> None:
        loop = asyncio.get_running_loop()
        began, said, pause = loop.time(), "", 0.02
        while True:
            try:
                await self._supervise()
            except (errors.CoordinatorUnavailable, errors.Unauthenticated) as error:
                if not self.stays or self._draining:
                    raise
                refused = isinstance(error, errors.Unauthenticated)
                may_change = self._joined and self.files is not None and bool(self.files.own)
                if refused and not may_change:
                    raise
                tried = loop.time() - began
                if not self._joined and tried > _PATIENCE:
                    why = f"nothing answered there within {_PATIENCE} seconds"
                    raise errors.CoordinatorUnavailable(f"{why} ({why_not(str(error))})") from None
                why = self._why_out(error)
                if why not in ("", said) and (self._joined or tried > 1):
                    _tell(why)
                    said = why
            self._workers.kill_all()
            # What is reported of them is for nobody.
            self._reports = asyncio.Queue()
            while self._changes:
                _tell(self._changes.popleft())
            pause = 0.02 if self._member else min(pause * 2, _PAUSE)
            self._member = False
            await self._renewal() if refused else await asyncio.sleep(pause)
            self._renew()

    def _why_out(self, error: errors.RunnerError) -> str:
        """Say why this host is not joined, and when it will be; "" where that was said before."""
        address = self.connection.address
        if self._member:
            return (
                f"Lost the coordinator at {address}: {error}. The {len(self._workers)} workers "
                "here are killed, as their work goes to other hosts, and this host joins again as "
                "soon as it can."
            )
        if isinstance(error, errors.Unauthenticated):
            assert self.files is not None
            return (
                f"The coordinator at {address} refuses what {' and '.join(self.files.own)} had: "
                "this host joins again when that has changed."
            )
        if (why := why_not(str(error))) != str(error):
            return f"The coordinator at {address} cannot be joined: {why}. This host tries on."
        return (
            "" if self._joined else f"Nothing answers at {address}; trying for {_PATIENCE} seconds."
        )

    def _renew(self) -> bool:
        """Take what the files have now, and return whether that is new."""
        had = self.connection
        if self.files is not None:
            now = self.files.now(access.Access(had.token, had.tls))
            self.connection = replace(had, token=now.token, tls=now.tls)
        return self.connection != had

    async def _renewal(self) -> None:
        """Wait until the files have changed, or for a while: the coordinator may think better."""
        for _ in range(_REFUSED_PAUSE):
            if self._renew():
                return
            await asyncio.sleep(1)

    async def _supervise(self) -> None:
        async with self.connection.channel() as channel:
            if not self.stays:
                # It may be that the coordinator does not listen yet.
                await channel.channel_ready()
            stub = worker_pb2_grpc.WorkerServiceStub(channel)
            hello = worker_pb2.HostHello(
                host_id=f"{platform.node()}-{os.getpid()}-{uuid4().hex[:6]}",
                protocol_version=PROTOCOL_VERSION,
                runner_version=version("async-durable-execution-runner"),
                python_version=platform.python_version(),
                slots=self.slots,
                labels={**labels.own(), **self.labels},
                pid=os.getpid(),
            )
            call, message = await greet(
                lambda: stub.Supervise(metadata=self.connection.metadata),
                worker_pb2.SuperviseRequest(hello=hello),
            )
            if (say := self._say) is not None:
                say("host %s: connected to %s", hello.host_id, self.connection.address)
            self._reporting = asyncio.ensure_future(self._send_reports(call))
            try:
                while message is not grpc.aio.EOF:
                    self._obey(message)
                    message = await call.read()
            except grpc.aio.AioRpcError as error:
                raise refusal(error) from None
            finally:
                self._connected = False
                self._reporting.cancel()
        raise errors.CoordinatorUnavailable("it closed the connection")

    async def _send_reports(self, call: Any) -> None:
        # Whoever reads from the call learns why it is broken.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while (report := await self._reports.get()) is not None:
                await call.write(report)
            self._finish(None if self._draining else _FORKSERVER_LOST)

    def _obey(self, order: worker_pb2.SuperviseResponse) -> None:
        match order.WhichOneof("message"):
            case "welcome":
                self._join(order.welcome)
            case "start":
                self._renew()
                self._workers.start(order.start, self._workers_address, self.connection.tls)
            case "kill":
                self._workers.tell({"kill": order.kill.worker_id})
            case "limit_memory":
                limit = order.limit_memory
                self._workers.tell({"limit": limit.worker_id, "bytes": limit.bytes})
            case "signal":
                stop = order.signal.signal == worker_pb2.WORKER_SIGNAL_STOP
                self._workers.tell({"stop": order.signal.worker_id, "on": stop})
            case "code_dropped":
                _tell(self._changes.popleft())
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "take_stacks":
                wanted = order.take_stacks
                self._workers.tell({"inspect": wanted.worker_id, "request": wanted.request_id})

    def _join(self, welcome: worker_pb2.HostWelcome) -> None:
        self._member = True
        if self._joined:
            _tell(f"Joined the coordinator at {self.connection.address} again.")
        else:
            self.joined()
        self._joined = self._connected = True
        if welcome.workers_port:
            name = self.connection.address.rpartition(":")[0]
            self._workers_address = f"{name}:{welcome.workers_port}"


def _tell(sentence: str) -> None:
    """Say something to whoever has started this host, and may be gone."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{sentence}\n")
