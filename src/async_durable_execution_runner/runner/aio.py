"""The runners for asynchronous tests: ours, and one with the surface of the SDK's own.

Only the shape of the APIs is here; what they do is `engine.Engine`'s.
"""

# ruff: noqa: ASYNC109 - a time-out ends in an error that says what was waited for.

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from async_durable_execution import ErrorObject

from ..client.settings import Seconds
from ..results.result import DurableFunctionTestResult
from .blocking import BaseRunner, explorer
from .engine import DEFAULT_TIMEOUT, Engine
from .fault_plans import Faults
from .handles import AsyncExecutionHandle, AwaitedCalls, ExecutionHandle
from .mocks import MockFunction

if TYPE_CHECKING:
    from ..client.control import RunnerStatus
    from ..client.transport import LoopTransport
    from .explore import CrashReport

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


class AsyncDurableFunctionTestRunner(BaseRunner, AwaitedCalls):
    """`DurableFunctionTestRunner` for `async with` and `await`; arguments as there."""

    _transport: LoopTransport

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._engine.open)
        self._transport = self._engine.use_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._engine.close)
        await self._transport.close()
        if error is None:
            self._engine.plan.check_all()

    async def run(
        self,
        input: Any = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
        tenant_id: str | None = None,
        faults: Faults = (),
        replay_every_checkpoint: bool = False,
    ) -> DurableFunctionTestResult:
        start = self._engine.start_of(
            input,
            execution_name,
            payload,
            function_name,
            tenant_id=tenant_id,
            faults=faults,
            replay_every_checkpoint=replay_every_checkpoint,
        )
        return await self._engine.run(start, timeout)

    async def explore_crashes(
        self,
        input: Any = None,
        *,
        check: Callable[[DurableFunctionTestResult], object] | None = None,
        callbacks: Mapping[str, Any] | None = None,
        outside: Callable[[ExecutionHandle], object] | None = None,
        depth: int = 1,
        timeout: Seconds = DEFAULT_TIMEOUT,
        payload: str | None = None,
        function_name: str | None = None,
    ) -> CrashReport:
        """`outside` runs in a thread, and so gets a handle that blocks."""
        engine = self._engine
        start = engine.start_of(input, None, payload, function_name, record_points=True)
        explore = explorer(engine, start, timeout, check, callbacks, outside).explore
        return await asyncio.to_thread(explore, depth)

    async def run_many(
        self,
        inputs: Iterable[Any],
        timeout: Seconds = DEFAULT_TIMEOUT,
        *,
        function_name: str | None = None,
    ) -> list[DurableFunctionTestResult]:
        starts = [self._engine.start_of(input, None, None, function_name) for input in inputs]
        return await self._engine.run_many(starts, timeout)

    async def start(
        self,
        input: Any = None,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
        tenant_id: str | None = None,
        skip_time: bool | None = None,
        faults: Faults = (),
    ) -> AsyncExecutionHandle:
        start = self._engine.start_of(
            input, execution_name, payload, function_name, skip_time, tenant_id, faults
        )
        return AsyncExecutionHandle(self._engine, await self._engine.start(start))

    async def run_until_suspended(
        self,
        input: Any = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
        tenant_id: str | None = None,
    ) -> AsyncExecutionHandle:
        start = self._engine.start_of(
            input, execution_name, payload, function_name, tenant_id=tenant_id
        )
        arn = await self._engine.start(start, hold_time=True)
        await self._engine.wait(arn, "suspended", timeout)
        return AsyncExecutionHandle(self._engine, arn)

    async def advance(
        self,
        duration: timedelta | float,
        execution: str | AsyncExecutionHandle | DurableFunctionTestResult | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> None:
        await self._engine.advance(duration, execution, timeout)

    async def serve_aws_api(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        access_keys: Mapping[str, str] | None = None,
    ) -> str:
        """The URL at which this runner's functions are offered over the AWS API."""
        return await self._engine.serve_aws_api(host, port, access_keys)

    async def status(self) -> RunnerStatus:
        """The processes behind this runner, and all others of this process."""
        return await self._engine.status()


def create_local_runner(
    *,
    handler: Callable[..., Any],
    poll_interval: float = 1.0,
    input: Any = None,
    timeout: int = 60,
) -> DurableFunctionLocalTestRunner:
    """A runner with the SDK's own interface, for suites that were written for that one."""
    return DurableFunctionLocalTestRunner(
        handler=handler, poll_interval=poll_interval, input=input, timeout=timeout
    )


class DurableFunctionLocalTestRunner:
    """For `with`, `async with`, or neither; opens by itself, on whichever loop it is used."""

    mode = "local"

    def __init__(
        self,
        handler: Callable[..., Any],
        poll_interval: float = 1.0,
        input: Any = None,
        timeout: int = 900,
        function_name: str = "test-function",
    ) -> None:
        """`poll_interval` is taken for compatibility: nothing is polled."""
        self.poll_interval = poll_interval
        self._engine = Engine(handler, function_name=function_name)
        self._input = input
        self._timeout = timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: LoopTransport | None = None
        self._closing: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if self._closing is not None:
            await self._closing

    def close(self) -> None:
        self._engine.close()
        transport, self._transport = self._transport, None
        if transport is not None and self._loop is _running_loop():
            self._closing = asyncio.create_task(transport.close())

    async def run(self) -> DurableFunctionTestResult:
        return await self.wait_for_result(await self.run_async(), self._timeout)

    async def run_async(self) -> str:
        """Start an execution and return its ARN."""
        engine = await self._opened()
        return await engine.start(engine.start_of(self._input, None, None))

    async def wait_for_result(
        self, execution_arn: str, timeout: float = 60
    ) -> DurableFunctionTestResult:
        return await (await self._opened()).wait(execution_arn, "ended", timeout)

    async def wait_for_callback(
        self, execution_arn: str, name: str | None = None, timeout: float = 60
    ) -> str:
        return await (await self._opened()).wait_for_callback(execution_arn, name, timeout)

    async def send_callback_success(
        self, callback_id: str, result: bytes | str | None = None
    ) -> None:
        await (await self._opened()).callback_success(callback_id, result)

    async def send_callback_failure(
        self, callback_id: str, error: ErrorObject | None = None
    ) -> None:
        await (await self._opened()).callback_failure(callback_id, error)

    async def send_callback_heartbeat(self, callback_id: str) -> None:
        await (await self._opened()).callback_heartbeat(callback_id)

    def mock_invoke_result(self, function_name: str, result: Any) -> None:
        """What a chained invoke of `function_name` returns."""
        self._engine.mock(MockFunction(function_name, result=result))

    async def _opened(self) -> Engine:
        loop = asyncio.get_running_loop()
        if not self._engine.is_open:
            await asyncio.to_thread(self._engine.ensure_open)
        if self._transport is None or self._loop is not loop:
            self._loop = loop
            self._transport = self._engine.use_loop()
        return self._engine


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
