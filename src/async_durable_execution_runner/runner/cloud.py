"""The runners for functions that are deployed: on Lambda, or wherever its API is offered.

    with DurableFunctionCloudTestRunner("place-order:live", region="eu-west-1") as runner:
        result = runner.run(input={"order_id": "o-1"}, timeout=120)
    assert result.status is InvocationStatus.SUCCEEDED

The surface, results and errors are `DurableFunctionTestRunner`'s, so that a test runs with either;
what takes workers and a clock of our own is not here. `wait_for_callback` by name finds a callback
that somebody else has answered, or that has timed out, too. What they do is `CloudEngine`'s.
"""

# ruff: noqa: ASYNC109 - a time-out ends in an error that says what was waited for.

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from async_durable_execution import ErrorObject

from ..aws.api import BlockingClock, Client, Clock, LoopClock
from ..client.drive import drive
from ..client.settings import Seconds
from ..results.result import DurableFunctionTestResult
from .cloud_engine import CloudEngine
from .engine import DEFAULT_TIMEOUT
from .handles import AsyncExecutionHandle, AwaitedCalls, BlockingCalls, ExecutionHandle

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

DEFAULT_POLL_INTERVAL = 1.0


class BaseCloudRunner:
    """What the synchronous and the asynchronous runner have in common."""

    _clock: type[Clock]
    _in_threads: bool

    def __init__(
        self,
        function_name: str,
        region: str | None = None,
        lambda_endpoint: str | None = None,
        *,
        client: Client | None = None,
        poll_interval: Seconds = DEFAULT_POLL_INTERVAL,
        clock: Clock | None = None,
    ) -> None:
        """A runner for the function of this name, with a qualifier ("order:live"), or ARN.

        - `region`, `lambda_endpoint`: as the AWS CLI finds them where they are not given. A
          loopback endpoint is asked without credentials where none are configured.
        - `client`: a boto3 client of "lambda" to use instead.
        - `poll_interval`: the longest pause between two questions, in seconds or a timedelta.
        - `clock`: what to wait with, see `Clock`; for tests that are not to wait.

        Failures to reach Lambda are `LambdaCallFailed`, its refusals `ServiceError`s. Throttled
        calls, and those that the service failed at, are repeated for up to half a minute.
        """
        self._engine = CloudEngine(
            function_name,
            region,
            lambda_endpoint,
            client,
            poll_interval,
            clock or self._clock(),
            self._in_threads,
        )

    @property
    def _executions(self) -> CloudEngine:
        return self._engine

    @property
    def function_name(self) -> str:
        return self._engine.function_name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.function_name!r}>"


class DurableFunctionCloudTestRunner(BaseCloudRunner, BlockingCalls):
    """Runs a durable function where it is deployed. Blocks; fine inside an event loop too."""

    _clock = BlockingClock
    _in_threads = False

    def __enter__(self) -> Self:
        self._engine.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._engine.close()

    def run(
        self,
        input: Any = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
        tenant_id: str | None = None,
    ) -> DurableFunctionTestResult:
        """Start an execution, wait for its end, return its result.

        `input` and `payload` are as for the local runner. `TimeoutError`, with the reason, for
        `timeout` seconds without an end; the execution goes on. Without a name it is given one.
        """
        engine = self._engine
        start = engine.start_of(input, execution_name, payload, function_name, tenant_id)
        return drive(engine.run(start, timeout))

    def run_many(
        self,
        inputs: Iterable[Any],
        timeout: Seconds = DEFAULT_TIMEOUT,
        *,
        function_name: str | None = None,
    ) -> list[DurableFunctionTestResult]:
        """One execution per input, all at once; results in order. `timeout` is for all."""
        engine = self._engine
        starts = [engine.start_of(input, None, None, function_name, None) for input in inputs]
        return drive(engine.run_many(starts, timeout))

    def start(
        self,
        input: Any = None,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
        tenant_id: str | None = None,
    ) -> ExecutionHandle:
        """Start an execution and do not wait for it."""
        engine = self._engine
        start = engine.start_of(input, execution_name, payload, function_name, tenant_id)
        return ExecutionHandle(engine, drive(engine.start(start)))

    def stop(
        self,
        execution_arn: str | ExecutionHandle | DurableFunctionTestResult | None = None,
        error: ErrorObject | BaseException | str | None = None,
    ) -> None:
        """End an execution at once, as STOPPED; the one started last, where none is given."""
        drive(self._engine.stop(execution_arn, error))


class AsyncDurableFunctionCloudTestRunner(BaseCloudRunner, AwaitedCalls):
    """`DurableFunctionCloudTestRunner` for `async with` and `await`; arguments as there."""

    _clock = LoopClock
    _in_threads = True

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._engine.open)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._engine.close()

    async def run(
        self,
        input: Any = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
        tenant_id: str | None = None,
    ) -> DurableFunctionTestResult:
        engine = self._engine
        start = engine.start_of(input, execution_name, payload, function_name, tenant_id)
        return await engine.run(start, timeout)

    async def run_many(
        self,
        inputs: Iterable[Any],
        timeout: Seconds = DEFAULT_TIMEOUT,
        *,
        function_name: str | None = None,
    ) -> list[DurableFunctionTestResult]:
        engine = self._engine
        starts = [engine.start_of(input, None, None, function_name, None) for input in inputs]
        return await engine.run_many(starts, timeout)

    async def start(
        self,
        input: Any = None,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
        tenant_id: str | None = None,
    ) -> AsyncExecutionHandle:
        engine = self._engine
        start = engine.start_of(input, execution_name, payload, function_name, tenant_id)
        return AsyncExecutionHandle(engine, await engine.start(start))

    async def stop(
        self,
        execution_arn: str | AsyncExecutionHandle | DurableFunctionTestResult | None = None,
        error: ErrorObject | BaseException | str | None = None,
    ) -> None:
        await self._engine.stop(execution_arn, error)
