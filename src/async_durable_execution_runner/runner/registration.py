"""A runner's functions and, while it is open, its workspace in a coordinator.

gRPC is imported on opening, when the processes are already on their way.
"""

from __future__ import annotations

import copy
import os
import re
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..client.cluster import Cluster, shared_cluster, unavailable
from ..client.drive import drive
from ..client.settings import (
    FunctionSettings,
    Seconds,
    seconds,
    settings,
    whole,
)
from ..core import limits
from ..core.model import Isolation
from ..errors import NotStarted
from .inline import InlineWorkers
from .mocks import MockFunction

if TYPE_CHECKING:
    from ..client.control import ControlClient
    from ..client.transport import LoopTransport, Transport, WorkspaceCall

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

T = TypeVar("T")
DEFAULT_INVOCATION_RETRIES = 5
DEFAULT_RETRY_BACKOFF = 1.0


def function_name_of(handler: Callable[..., Any]) -> str:
    """The handler's own name as far as Lambda allows it as a function's name."""
    from ..worker.sdk.choice import name_of

    name = name_of(handler) or type(handler).__name__
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:64] or "handler"


@dataclass(frozen=True, slots=True)
class _Registration:
    durable: bool
    settings: FunctionSettings
    #: As `loading.describe` made it; an inline function's key.
    code: Any


class Attachment:
    """What a runner registers, and how it reaches the coordinator. Open or not, again and again."""

    def __init__(
        self,
        handler: Callable[..., Any] | None,
        *,
        function_name: str | None = None,
        workers: int | None = None,
        invocation_retries: int | None = DEFAULT_INVOCATION_RETRIES,
        retry_backoff: Seconds = DEFAULT_RETRY_BACKOFF,
        listen: str | None = None,
        start_time: datetime | None = None,
        **of_functions: Any,
    ) -> None:
        self._workers = whole("workers", (os.cpu_count() or 1) if workers is None else workers, 0)
        if not self._workers and listen is None:
            raise ValueError(
                "workers=0: at least one is needed (none at all only together with listen=, for "
                "worker hosts that are started by hand)."
            )
        if start_time is not None and getattr(start_time, "tzinfo", None) is None:
            raise ValueError(
                f"start_time={start_time!r} must be an aware datetime, one with a tzinfo."
            )
        self._invocation_retries = (
            limits.ENDLESS_RETRIES
            if invocation_retries is None
            else whole("invocation_retries", invocation_retries, 0)
        )
        self._retry_backoff = seconds(retry_backoff)
        if self._retry_backoff < 0:
            raise ValueError(f"retry_backoff={retry_backoff!r} must not be negative.")
        self._listen = listen
        self._epoch_ms = round(start_time.timestamp() * 1000) if start_time else None
        self._defaults = settings(FunctionSettings(), **of_functions)
        self._functions: dict[str, _Registration] = {}
        self._inline = InlineWorkers()
        self._opening = threading.Lock()
        self._cluster: Cluster | None = None
        self._workspace: WorkspaceCall | None = None
        self._registrar: ControlClient | None = None
        self._client: ControlClient | None = None
        self.function_name = function_name or ""
        if handler is not None:
            self.function_name = function_name or function_name_of(handler)
            self.register(self.function_name, handler, durable=True)

    # -- functions -------------------------------------------------------------------------

    def register(
        self, name: str, handler: Callable[..., Any], *, durable: bool, **own: Any
    ) -> None:
        """Know `handler` by `name` from now on; `HandlerNotLoadable` where it cannot be."""
        from ..worker import loading

        chosen = settings(self._defaults, **own)
        if chosen.isolation is Isolation.INLINE:
            code: Any = self._inline.add(name, loading.check(handler, durable=durable))
        else:
            code = loading.describe(handler, durable=durable)
        self._add(name, _Registration(durable, chosen, code))

    def replace_functions(
        self, functions: Mapping[str, tuple[Any, bool, Mapping[str, Any]]]
    ) -> None:
        """Know these and no others: by name what `loading.describe` made, whether it is durable,
        and settings. Later invocations run what is in their files now; `ValueError`."""
        self._functions = {
            name: _Registration(durable, settings(self._defaults, **own), code)
            for name, (code, durable, own) in functions.items()
        }
        if self._registrar is not None:
            made = [(name, f.code, f.durable, f.settings) for name, f in self._functions.items()]
            self.drive(self._registrar.replace_functions(made))

    def mock(self, mock: MockFunction) -> None:
        inline = settings(self._defaults, isolation=Isolation.INLINE)
        self._add(mock.name, _Registration(False, inline, self._inline.add(mock.name, mock)))

    def _add(self, name: str, function: _Registration) -> None:
        self._functions[name] = function
        if self._registrar is not None:
            self._announce(name, function)

    def _announce(self, name: str, function: _Registration) -> None:
        assert self._registrar is not None
        self.drive(
            self._registrar.register(
                name, function.code, durable=function.durable, settings=function.settings
            )
        )
        if function.settings.isolation is Isolation.INLINE:
            assert self._workspace is not None
            count = self._workers if function.durable else 1
            self._inline.ensure(count, self.cluster, self._workspace.id)
        elif self._workers:
            assert self._cluster is not None
            self._cluster.ensure_slots(self._workers)

    # -- opening and closing ---------------------------------------------------------------

    def open(self) -> None:
        """Have a workspace, in the shared cluster or in one of its own. Blocks."""
        if self._workspace is not None:
            raise NotStarted("This runner is open already: one `with` at a time.")
        self._cluster = cluster = Cluster(self._listen) if self._listen else shared_cluster()
        try:
            if self._workers and any(
                each.settings.isolation is not Isolation.INLINE for each in self._functions.values()
            ):
                cluster.ensure_slots(self._workers)
            from ..client import transport

            channel = transport.channel_to(cluster)
            self._workspace = transport.WorkspaceCall(
                channel,
                cluster.token,
                workers=max(1, self._workers),
                invocation_retries=self._invocation_retries,
                retry_backoff=self._retry_backoff,
                epoch_ms=self._epoch_ms,
                unavailable=self._unavailable,
            )
            # For runners that nobody closes.
            weakref.finalize(self, self._workspace.close)
            blocking = transport.BlockingTransport(channel, cluster.token)
            self._registrar = self._client_over(blocking)
            for name, function in self._functions.items():
                self._announce(name, function)
        except BaseException:
            self.close()
            raise

    def ensure_open(self) -> None:
        """`open`, from any thread, unless it is."""
        with self._opening:
            if not self.is_open:
                self.open()

    def use_loop(self) -> LoopTransport:
        """From now on make calls on the running event loop. The caller closes the transport."""
        from ..client.transport import LoopTransport

        transport = LoopTransport(self.cluster.address, self.cluster.token)
        self._client = self._client_over(transport)
        return transport

    @property
    def workers(self) -> int:
        return self._workers

    @staticmethod
    def drive(coroutine: Coroutine[Any, Any, T]) -> T:
        """The outcome of a coroutine that awaits nothing but calls, where these block."""
        return drive(coroutine)

    def blocking(self) -> Self:
        """This, for other threads to `drive`, whatever its runner's calls go over."""
        view = copy.copy(self)
        view._client = self._registrar
        return view

    def _client_over(self, transport: Transport) -> ControlClient:
        from ..client.control import ControlClient

        assert self._workspace is not None
        return ControlClient(transport, self._workspace.id, self._unavailable)

    def close(self) -> None:
        workspace, self._workspace = self._workspace, None
        self._registrar = self._client = None
        self._inline.stop()
        if workspace is not None:
            workspace.close()
        if self._listen and self._cluster is not None:
            self._cluster.close()

    @property
    def is_open(self) -> bool:
        return self._workspace is not None

    @property
    def cluster(self) -> Cluster:
        if self._cluster is None or self._workspace is None:
            raise NotStarted(
                "The runner is not open: use it inside its `with` (or `async with`) block."
            )
        return self._cluster

    def _unavailable(self, what: str, detail: str) -> Exception:
        return unavailable(self._cluster, what, detail)

    @property
    def control(self) -> ControlClient:
        client = self._client or self._registrar
        if client is None or self._workspace is None:
            raise NotStarted(
                "The runner is not open: use it inside its `with` (or `async with`) block."
            )
        return client
