"""What both runners do, written once: functions, workspace, executions, callbacks, time.

Its coroutines await nothing but the transport, so that the synchronous runner can drive
them to their end in place (`client.drive`) and the asynchronous one can await them. gRPC
is imported on opening, when the processes are already on their way.
"""

# ruff: noqa: ASYNC109 - these time-outs are the coordinator's to keep.

from __future__ import annotations

import copy
import os
import resource
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from .core import limits, model
from .errors import NotStarted, OperationNotFound
from .functions import (
    FunctionSettings,
    Isolation,
    MockFunction,
    Seconds,
    callback_payload,
    error_object,
    function_name_of,
    payload_of,
    seconds,
    settings,
)
from .inlined import InlineWorkers
from .local import Cluster, shared_cluster, unavailable
from .planning import Faults, RunnerPlan, check_deterministic, warn_of_divergences
from .progress import Progress
from .relay import OutputRelay
from .results import DurableFunctionTestResult, ExecutionRecord

if TYPE_CHECKING:
    from .client import ControlClient, RunnerStatus, Start, Until
    from .transport import LoopTransport, Transport, Workspace

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

T = TypeVar("T")
DEFAULT_TIMEOUT = 60.0
DEFAULT_INVOCATION_RETRIES = 5
DEFAULT_RETRY_BACKOFF = 1.0
#: How many executions `run_many` has asked for at once, at the least; fewer where a process may
#: have few files, as each has a connection.
_MIN_IN_FLIGHT = 256


@dataclass(frozen=True, slots=True)
class _Registration:
    durable: bool
    settings: FunctionSettings
    #: As `loading.describe` made it; an inline function's key.
    code: Any


class Engine:
    """One runner's functions and, while it is open, its workspace in a coordinator."""

    def __init__(
        self,
        handler: Callable[..., Any] | None,
        *,
        function_name: str | None = None,
        workers: int | None = None,
        skip_time: bool = True,
        invocation_retries: int | None = DEFAULT_INVOCATION_RETRIES,
        retry_backoff: Seconds = DEFAULT_RETRY_BACKOFF,
        listen: str | None = None,
        start_time: datetime | None = None,
        faults: Faults = (),
        **of_functions: Any,
    ) -> None:
        self._workers = (os.cpu_count() or 1) if workers is None else workers
        if self._workers < (1 if listen is None else 0):
            raise ValueError(
                f"workers={workers}: at least one is needed (none at all only together with "
                "listen=, for worker hosts that are started by hand)."
            )
        if invocation_retries is None:
            invocation_retries = limits.ENDLESS_RETRIES
        if invocation_retries < 0:
            raise ValueError(f"invocation_retries={invocation_retries} must not be negative.")
        if start_time is not None and start_time.tzinfo is None:
            raise ValueError("start_time must be an aware datetime, one with a tzinfo.")
        self._skip_time = skip_time
        self.plan = RunnerPlan(faults)
        self._invocation_retries = invocation_retries
        self._retry_backoff = seconds(retry_backoff)
        self._listen = listen
        self._epoch_ms = round(start_time.timestamp() * 1000) if start_time else None
        self._defaults = settings(FunctionSettings(), **of_functions)
        self._functions: dict[str, _Registration] = {}
        self._inline = InlineWorkers()
        self._relay = OutputRelay()
        self._last_arn: str | None = None
        self._opening = threading.Lock()
        self._cluster: Cluster | None = None
        self._workspace: Workspace | None = None
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
        from .worker import loading

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
            from . import transport

            channels = transport.channels_to(cluster)
            self._workspace = transport.Workspace(
                channels.lasting,
                cluster.token,
                workers=max(1, self._workers),
                invocation_retries=self._invocation_retries,
                retry_backoff=self._retry_backoff,
                epoch_ms=self._epoch_ms,
                unavailable=self._unavailable,
            )
            # For runners that nobody closes.
            weakref.finalize(self, self._workspace.close)
            blocking = transport.BlockingTransport(channels.calls, cluster.token)
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
        from .transport import LoopTransport

        transport = LoopTransport(self.cluster.address, self.cluster.token)
        self._client = self._client_over(transport)
        return transport

    @property
    def workers(self) -> int:
        return self._workers

    @staticmethod
    def drive(coroutine: Coroutine[Any, Any, T]) -> T:
        """The outcome of one of this engine's coroutines, where calls block."""
        from .transport import drive

        return drive(coroutine)

    def blocking(self) -> Engine:
        """This engine for other threads to `drive`, whatever its runner's calls go over."""
        view = copy.copy(self)
        view._client = self._registrar
        return view

    def _client_over(self, transport: Transport) -> ControlClient:
        from .client import ControlClient

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

    # -- executions ------------------------------------------------------------------------

    def start_of(
        self,
        input: object,
        execution_name: str | None,
        payload: str | None,
        function_name: str | None = None,
        skip_time: bool | None = None,
        tenant_id: str | None = None,
        faults: Faults = (),
        replay_every_checkpoint: bool = False,
        record_points: bool = False,
    ) -> Start:
        from .client import Start

        if payload is not None and input is not None:
            raise ValueError("Give input= or payload=, not both.")
        return Start(
            function_name or self.function_name,
            payload_of(input) if payload is None else payload,
            execution_name or "",
            self._skip_time if skip_time is None else skip_time,
            tenant_id,
            self.plan.of_run(faults, replay_every_checkpoint),
            record_points,
            retry_at_once=replay_every_checkpoint,
        )

    async def start(self, start: Start, *, hold_time: bool = False) -> str:
        self._last_arn = await self.control.start(start, hold_time=hold_time)
        return self._last_arn

    async def run(self, start: Start, timeout: Seconds) -> DurableFunctionTestResult:
        record = await self.control.run(start, seconds(timeout))
        self._last_arn = record.execution_arn
        result = await self._result(record, f"did not end within {seconds(timeout):g} s")
        if start.retry_at_once:
            check_deterministic(result)
        warn_of_divergences(result)
        return result

    async def run_many(
        self, starts: Sequence[Start], timeout: Seconds
    ) -> list[DurableFunctionTestResult]:
        control, progress = self.control, Progress(len(starts))
        outcomes: list[ExecutionRecord | Exception] = []
        try:
            at_once = max(_MIN_IN_FLIGHT, 4 * self._workers)
            files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            if files != resource.RLIM_INFINITY:
                at_once = min(at_once, files // 4)
            async with aclosing(control.run_each(starts, seconds(timeout), at_once)) as running:
                async for outcome in running:
                    outcomes.append(outcome)
                    progress.done(outcome)
        finally:
            progress.close()
        late = sum(isinstance(each, ExecutionRecord) and each.timed_out for each in outcomes)
        problem = (
            f"did not end within {seconds(timeout):g} s, like {late - 1} more of {len(starts)}"
        )
        results = []
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            results.append(await self._result(outcome, problem))
            warn_of_divergences(results[-1])
        return results

    async def wait(
        self, execution: object, until: Until, timeout: Seconds
    ) -> DurableFunctionTestResult:
        """The result at the end, at suspension, or as it is "now"."""
        record = await self.control.wait(self.arn_of(execution), until, seconds(timeout))
        verb = {"ended": "end", "suspended": "suspend", "now": "answer"}[until]
        problem = f"did not {verb} within {seconds(timeout):g} s"
        result = await self._result(record, problem, check_faults=until == "ended")
        if until == "ended":
            warn_of_divergences(result)
        return result

    async def stop(self, execution: object, error: object) -> None:
        await self.control.stop(self.arn_of(execution), error_object(error))

    async def advance(self, duration: Seconds, execution: object, timeout: Seconds) -> None:
        length = seconds(duration)
        if length < 0:
            raise ValueError(f"Time cannot be advanced by {duration!r}: it only goes forward.")
        arn = None if execution is None else self.arn_of(execution)
        await self.control.advance(arn, length, seconds(timeout))

    async def serve_aws_api(
        self, host: str, port: int, access_keys: Mapping[str, str] | None
    ) -> str:
        # Whether one struck an execution that is started there is not seen here.
        faults = self.plan.of_all()
        return await self.control.serve_aws_api(
            host, port, access_keys or {}, self._skip_time, faults
        )

    def follow_output(self) -> Iterator[Any]:
        """What handlers write from now on, as `FollowOutputResponse`, until this is closed."""
        assert self._workspace is not None
        return self._workspace.follow_output()

    async def status(self) -> RunnerStatus:
        return await self.control.status()

    def arn_of(self, execution: object) -> str:
        """Of an ARN, a handle or a result; of None, the execution that was started last."""
        if execution is None:
            if self._last_arn is None:
                raise NotStarted("No execution was started yet: call start() or run() first.")
            return self._last_arn
        for attribute in ("arn", "execution_arn"):
            arn = getattr(execution, attribute, None)
            if isinstance(arn, str):
                return arn
        if isinstance(execution, str):
            return execution
        raise TypeError(f"An execution's ARN, handle or result is needed, not {execution!r}.")

    # -- callbacks -------------------------------------------------------------------------

    async def wait_for_callback(self, execution: object, name: str | None, timeout: Seconds) -> str:
        if isinstance(execution, str) and name is None and not execution.startswith("arn:"):
            execution, name = None, execution
        arn, limit = self.arn_of(execution), seconds(timeout)
        callback_id, why, status = await self.control.wait_for_callback(arn, name, limit)
        if callback_id:
            return callback_id
        state = (await self.wait(arn, "now", limit)).describe()
        wanted = f"callback {name!r}" if name else "callback"
        if status is not model.ExecutionStatus.RUNNING:
            raise OperationNotFound(
                f"No {wanted} will come: the execution has ended, {status.value}.\n\n{state}"
            )
        stacks = await self._inline.stacks(why, self.control.transport)
        why += "".join(f"; {each.verdict}" for each in stacks.values())
        raise TimeoutError(
            f"No {wanted} was open within {limit:g} s; the execution waits for {why}.\n\n{state}"
        )

    async def callback_success(self, callback_id: str, result: object) -> None:
        await self.control.callback_success(callback_id, callback_payload(result))

    async def callback_failure(self, callback_id: str, error: object) -> None:
        failure = error_object(error) or model.ErrorObject()
        await self.control.callback_failure(callback_id, failure)

    async def callback_heartbeat(self, callback_id: str) -> None:
        await self.control.callback_heartbeat(callback_id)

    # -- results ---------------------------------------------------------------------------

    async def _result(
        self, record: ExecutionRecord, problem: str, *, check_faults: bool = True
    ) -> DurableFunctionTestResult:
        await self._hand_on_output(record)
        if record.timed_out:
            record = await self._inline.look(record, self.control.transport)
        result = DurableFunctionTestResult(record)
        if record.timed_out:
            raise TimeoutError(
                f"The execution {problem}; it waits for {record.waiting_for}.\n\n{result}"
            )
        if check_faults:
            self.plan.check(result)
        return result

    async def _hand_on_output(self, record: ExecutionRecord) -> None:
        function = self._functions.get(record.function_name)
        # What ran inline has been on the test's own output already.
        if function is None or function.settings.isolation is not Isolation.INLINE:
            self._relay.hand_on(record)
        for arn in record.children:
            await self._hand_on_output(await self.control.wait(arn, "now", DEFAULT_TIMEOUT))
