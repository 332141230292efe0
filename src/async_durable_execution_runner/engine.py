"""What both runners do, written once: functions, workspace, executions, callbacks, time.

Every coroutine here awaits nothing but its transport, so that the synchronous runner can
drive it to its end in place (`client.drive`) and the asynchronous one can await it.
"""

# ruff: noqa: ASYNC109 - these time-outs are the coordinator's to keep.

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from async_durable_execution import ErrorObject

from .core import model
from .errors import HandlerNotLoadable, NotStarted, WorkersUnavailable
from .functions import (
    FunctionSettings,
    Isolation,
    MockFunction,
    Seconds,
    function_name_of,
    payload_of,
    positive,
    seconds,
    settings,
)
from .local import Cluster, shared_cluster, unavailable
from .operations import OperationNotFound
from .progress import Progress
from .relay import OutputRelay
from .results import DurableFunctionTestResult, ExecutionRecord
from .worker import loading

if TYPE_CHECKING:
    from .client import ControlClient, Job, Transport, Until, Workspace

DEFAULT_TIMEOUT = 60.0
DEFAULT_RETRIES = 5
DEFAULT_BACKOFF = 1.0
#: How many executions `run_many` asks for at once, at the least.
_MIN_IN_FLIGHT = 32


@dataclass(frozen=True, slots=True)
class _Registered:
    handler: Callable[..., Any]
    durable: bool
    settings: FunctionSettings
    code: Any


class Engine:
    """One runner's functions and, while it is open, its workspace in a coordinator."""

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        function_name: str | None,
        workers: int | None,
        skip_time: bool,
        invocation_retries: int,
        retry_backoff: Seconds,
        listen: str | None,
        start_time: datetime | None,
        **function_settings: Any,
    ) -> None:
        self.workers = (os.cpu_count() or 1) if workers is None else workers
        if self.workers < 0 or (self.workers == 0 and listen is None):
            raise ValueError(
                f"workers={self.workers}: at least one is needed (none at all only together "
                "with listen=, for worker hosts that are started by hand)."
            )
        if invocation_retries < 0:
            raise ValueError(f"invocation_retries={invocation_retries} must not be negative.")
        if start_time is not None and start_time.tzinfo is None:
            raise ValueError("start_time must be an aware datetime (with a tzinfo).")
        self.skip_time = skip_time
        self._retries = invocation_retries
        self._backoff = seconds(retry_backoff)
        self._listen = listen
        self._epoch_ms = round(start_time.timestamp() * 1000) if start_time else None
        self._settings = settings(FunctionSettings(), **function_settings)
        self._functions: dict[str, _Registered] = {}
        self._inline_handlers: dict[str, Callable[..., Any]] = {}
        self._inline_workers: list[loading.InlineWorker] = []
        self._relay = OutputRelay()
        self._last_arn: str | None = None
        self.cluster: Cluster | None = None
        self._workspace: Workspace | None = None
        self._registrar: ControlClient | None = None
        self._client: ControlClient | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self.function_name = function_name or function_name_of(handler)
        self.register(self.function_name, handler, durable=True)
