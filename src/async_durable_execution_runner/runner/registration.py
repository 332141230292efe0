"""A runner's functions and, while it is open, its workspace in a coordinator.

gRPC is imported when the workspace is opened: the processes are starting by then.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import log
from ..client import remote
from ..client.cluster import AnyCluster, Cluster, shared_cluster, unavailable
from ..client.drive import drive
from ..client.lent import COORDINATOR, LentCluster
from ..client.settings import FunctionSettings, Seconds, checked_limits, place, seconds, whole
from ..core.limits import ENDLESS_RETRIES
from ..core.model import Isolation
from ..errors import NotStarted, RunnerError
from . import suite
from .inline import InlineWorkers
from .mocks import MockFunction

if TYPE_CHECKING:
    from ..client.control import ControlClient
    from ..client.transport import Transport, WorkspaceCall
    from ..rpc.v1 import worker_pb2

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

DEFAULT_INVOCATION_RETRIES = 5
DEFAULT_RETRY_BACKOFF = 1.0
#: More workers than any coordinator has.
_ALL = 100_000


def function_name_of(handler: Callable[..., Any]) -> str:
    """The handler's own name as far as Lambda allows it as a function's name."""
    from ..worker.sdk.choice import name_of

    name = name_of(handler) or type(handler).__name__
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:64] or "handler"


@dataclass(frozen=True, slots=True)
class Registration:
    """A function, as the coordinator is told of it."""

    #: What `loading.describe` made, or an inline function's key.
    code: worker_pb2.FunctionCode | str
    durable: bool
    settings: FunctionSettings


class Attachment:
    """What a runner registers, and how it reaches the coordinator. It can be opened again."""

    def __init__(
        self,
        defaults: FunctionSettings,
        *,
        workers: int | None = None,
        invocation_retries: int | None = DEFAULT_INVOCATION_RETRIES,
        retry_backoff: Seconds = DEFAULT_RETRY_BACKOFF,
        listen: str | None = None,
        coordinator: str | None = None,
        by_value: bool = False,
        start_time: datetime | None = None,
        limits: Mapping[str, int] | None = None,
        region: str | None = None,
        account: str | None = None,
    ) -> None:
        """`defaults` are for the functions that are registered without settings of their own."""
        self.workers = whole("workers", (os.cpu_count() or 1) if workers is None else workers, 0)
        if not self.workers and listen is None:
            raise ValueError(
                "workers=0: at least one is needed (none at all only together with listen=, for "
                "worker hosts that are started by hand)."
            )
        if start_time is not None and getattr(start_time, "tzinfo", None) is None:
            raise ValueError(
                f"start_time={start_time!r} must be an aware datetime, one with a tzinfo."
            )
        self._invocation_retries = (
            ENDLESS_RETRIES
            if invocation_retries is None
            else whole("invocation_retries", invocation_retries, 0)
        )
        self._retry_backoff = seconds(retry_backoff)
        if self._retry_backoff < 0:
            raise ValueError(f"retry_backoff={retry_backoff!r} must not be negative.")
        if listen is not None and coordinator is not None:
            raise ValueError(
                "Give listen=, for a coordinator of the runner's own, or coordinator=, for one "
                "that runs already."
            )
        self._listen = listen
        self._coordinator = coordinator
        self._by_value = by_value
        #: Whether as many invocations run at once as a coordinator that is not ours has workers.
        self._all_workers = workers is None
        self._limits = checked_limits(limits or {})
        self.place = place(region, account)
        self._epoch_ms = round(start_time.timestamp() * 1000) if start_time else None
        self.defaults = defaults
        self.functions: dict[str, Registration] = {}
        self.inline = InlineWorkers()
        #: The functions that the owner of a lent cluster was told of.
        self._inline_in_lent: list[str] = []
        self._opening = threading.Lock()
        self._cluster: AnyCluster | None = None
        self._workspace: WorkspaceCall | None = None
        self._control: ControlClient | None = None
        self._surroundings: worker_pb2.Surroundings | None = None

    # -- functions -------------------------------------------------------------------------

    def register(
        self,
        name: str,
        handler: Callable[..., Any],
        *,
        durable: bool,
        settings: FunctionSettings | None = None,
    ) -> None:
        """Register `handler` as the function `name`; `HandlerNotLoadable` if workers cannot load
        it."""
        from ..worker import loading, setup

        chosen = settings or self.defaults
        if chosen.worker_setup is not None:
            setup.check(chosen.worker_setup)
        if chosen.isolation is Isolation.INLINE:
            code: worker_pb2.FunctionCode | str = self.inline.add(
                name, loading.check(handler, durable=durable)
            )
        else:
            code = loading.describe(handler, durable=durable)
            if chosen.worker_setup is not None:
                code.setup.CopyFrom(setup.describe(chosen.worker_setup))
        self._add(name, Registration(code, durable, chosen))

    def replace_functions(self, functions: Mapping[str, Registration]) -> None:
        """Register these functions by name, and drop all others. Later invocations run what is in
        the functions' files now."""
        self.functions = dict(functions)
        if self._control is not None:
            made = [(name, self._sent(f), f.durable, f.settings) for name, f in functions.items()]
            drive(self._control.replace_functions(made))

    def modules_of_workers(self) -> set[str]:
        """The names of the modules from which workers import handlers."""
        codes = [each.code for each in self.functions.values() if not isinstance(each.code, str)]
        return {code.reference.module for code in codes if code.HasField("reference")}

    def changed_around(self) -> list[str]:
        """What this process has around it that workers do not see, as it was changed since the
        runner was opened: the variables' names, and "the working folder"."""
        in_workers = any(not isinstance(each.code, str) for each in self.functions.values())
        if self._surroundings is None or not in_workers:
            return []
        from ..client import surroundings

        return surroundings.changes(self._surroundings, self.cluster.environment)

    def is_inline(self, name: str) -> bool:
        """Whether a function of this name is there, and runs in this process."""
        function = self.functions.get(name)
        return function is not None and function.settings.isolation is Isolation.INLINE

    def mock(self, mock: MockFunction) -> None:
        """Have `mock` stand in for the function of its name."""
        inline = replace(self.defaults, isolation=Isolation.INLINE, worker_setup=None)
        self._add(mock.name, Registration(self.inline.add(mock.name, mock), False, inline))

    def _add(self, name: str, function: Registration) -> None:
        self.functions[name] = function
        if self._control is not None:
            sent = self._sent(function)
            drive(
                self._control.register(
                    name, sent, durable=function.durable, settings=function.settings
                )
            )
            self._serve(name, function)

    def _serve(self, name: str, function: Registration) -> None:
        """See to it that there are workers for a function that is registered."""
        if function.settings.isolation is Isolation.INLINE:
            if function.settings.worker_setup is not None:
                self.inline.set_up(function.settings.worker_setup)
            assert self._workspace is not None
            count = self.workers if function.durable else 1
            self.inline.ensure(count, self.cluster, self._workspace.id)
            if function.durable and isinstance(self.cluster, LentCluster):
                self.cluster.begin_inline(name)
                self._inline_in_lent.append(name)
        elif self.workers:
            self.cluster.ensure_slots(self.workers)

    def _sent(self, function: Registration) -> worker_pb2.FunctionCode | str:
        """The function's code, with what this process had around it when the runner was opened."""
        elsewhere = isinstance(self._cluster, remote.RemoteCluster)
        if elsewhere and not isinstance(function.code, str) and not self._by_value:
            from ..worker import loading

            loading.check_importable(function.code)
        if self._surroundings is None or isinstance(function.code, str):
            return function.code
        code = type(function.code)()
        code.CopyFrom(function.code)
        code.surroundings.CopyFrom(self._surroundings)
        return code

    # -- opening and closing ---------------------------------------------------------------

    def open(self) -> None:
        """Open a workspace, in the shared cluster or in one of this runner's own. This blocks."""
        if self._workspace is not None:
            raise NotStarted("This runner is open already.")
        self._cluster = None
        try:
            self._cluster = cluster = self._find_cluster()
            if self.workers and any(
                each.settings.isolation is not Isolation.INLINE for each in self.functions.values()
            ):
                cluster.ensure_slots(self.workers)
            from ..client import debugging, functions, surroundings, transport

            # A folder of this machine, and its variables, mean nothing to hosts that are elsewhere.
            elsewhere = self._listen or isinstance(cluster, remote.RemoteCluster)
            self._surroundings = None if elsewhere else surroundings.take(cluster.environment)
            channel = transport.channel_to(cluster)
            debugged = None
            if suite.debugger is not None:
                metadata = transport.metadata(cluster.token)
                opened = partial(transport.opened, unavailable=self._unavailable)
                debugged = debugging.follow(cluster, channel, metadata, suite.debugger, opened)
            self._workspace = transport.WorkspaceCall(
                channel,
                cluster.token,
                workers=_ALL if elsewhere and self._all_workers else max(1, self.workers),
                invocation_retries=self._invocation_retries,
                retry_backoff=self._retry_backoff,
                epoch_ms=self._epoch_ms,
                limits=self._limits,
                place=self.place,
                unavailable=self._unavailable,
                debugging=debugged,
                functions=[
                    functions.registration(name, self._sent(each), each.durable, each.settings)
                    for name, each in self.functions.items()
                ],
            )
            # This is for runners that nobody closes.
            weakref.finalize(self, self._workspace.close)
            blocking = transport.BlockingTransport(channel, cluster.token)
            self._control = self.control_over(blocking)
            for name, function in self.functions.items():
                self._serve(name, function)
        except BaseException as error:
            standing = not (self._listen or self._coordinator) and os.environ.get(COORDINATOR)
            if standing and self._workspace is None and isinstance(error, RunnerError):
                suite.shut_out(standing, error)
            self.close()
            raise

    def _find_cluster(self) -> AnyCluster:
        if self._listen:
            return Cluster(self._listen)
        address = self._coordinator or os.environ.get(COORDINATOR)
        return remote.cluster_at(address) if address else shared_cluster()

    def ensure_open(self) -> None:
        """Open the workspace unless it is open, from any thread."""
        with self._opening:
            if not self.is_open:
                self.open()

    def control_over(self, transport: Transport) -> ControlClient:
        """A client for this runner's calls over `transport`."""
        from ..client.control import ControlClient

        assert self._workspace is not None
        return ControlClient(transport, self._workspace.id, self._unavailable)

    def close(self) -> None:
        workspace, self._workspace = self._workspace, None
        control, self._control = self._control, None
        if control is not None and log.chosen():
            # What was logged of this runner is written before the next test begins.
            with suppress(RunnerError):
                drive(control.status())
        try:
            self.inline.stop()
            if isinstance(self._cluster, LentCluster):
                self._cluster.end_inline(self._inline_in_lent)
                self._inline_in_lent.clear()
        finally:
            if workspace is not None:
                workspace.close()
            if self._listen and self._cluster is not None:
                self._cluster.close()

    @property
    def is_open(self) -> bool:
        return self._workspace is not None

    @property
    def cluster(self) -> AnyCluster:
        if self._cluster is None or self._workspace is None:
            raise _not_open()
        return self._cluster

    def _unavailable(self, what: str, detail: str) -> Exception:
        return unavailable(self._cluster, what, detail)

    @property
    def control(self) -> ControlClient:
        """The client for this runner's calls where they block."""
        if self._control is None:
            raise _not_open()
        return self._control

    def follow_output(self) -> Iterator[Any]:
        """What handlers write from now on, as `FollowOutputResponse`, until this is closed."""
        assert self._workspace is not None
        return self._workspace.follow_output()


def _not_open() -> NotStarted:
    return NotStarted(
        "The runner is not open: use it in a `with` (or `async with`) block, or open() it."
    )
