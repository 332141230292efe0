"""The runners for functions that are deployed: on Lambda, or wherever its API is offered.

    with DurableFunctionCloudTestRunner("place-order:live", region="eu-west-1") as runner:
        result = runner.run(input={"order_id": "o-1"}, timeout=120)
    assert result.status is InvocationStatus.SUCCEEDED

The surface, results and errors are those of `DurableFunctionTestRunner`, so that a test runs with
either; what needs workers and a clock of our own is not here. `wait_for_callback` with a name also
finds a callback that somebody else has answered or that has timed out. `CloudEngine` does the work.
"""

# ruff: noqa: ASYNC109 - a time-out ends in an error that says what was waited for.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from async_durable_execution import ErrorObject

from ..aws.api import BlockingClock, Client, Clock, LoopClock
from ..client.drive import drive
from ..client.settings import Seconds
from ..results.result import DurableFunctionTestResult
from .cloud_engine import CloudEngine
from .engine import DEFAULT_TIMEOUT
from .handles import AsyncExecutionHandle, AwaitedCalls, BlockingCalls, ExecutionHandle
from .keywords import suggesting
from .opening import AwaitedOpening, BlockingOpening
from .payloads import inputs_of

# pytest shows the line of the test, not ours.
__tracebackhide__ = True

DEFAULT_POLL_INTERVAL = 1.0


@suggesting
class BaseCloudRunner:
    """What the synchronous and the asynchronous runner have in common."""

    mode = "cloud"

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
        """A runner for a function that is deployed.

        A failure to reach Lambda raises `LambdaCallFailed`, a refusal of Lambda's a
        `ServiceError`. Calls that were throttled, and those at which the service failed, are
        repeated for up to half a minute.

        Args:
            function_name: The function's name, with a qualifier ("order:live") or without, or
                its ARN.
            region: The function's region; by default the one that the AWS CLI would use.
            lambda_endpoint: The URL of Lambda; by default the one that the AWS CLI would use. An
                endpoint on loopback needs no credentials.
            client: A boto3 client of "lambda" to use instead of these two.
            poll_interval: The longest pause between two questions, in seconds or a timedelta.
            clock: What the runner waits with, see `Clock`; for tests that are not to wait.
        """
        super().__init__()
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


@suggesting
class DurableFunctionCloudTestRunner(BaseCloudRunner, BlockingOpening, BlockingCalls):
    """Runs a durable function where it is deployed.

    The calls block, and may be made where an event loop runs too.
    """

    _clock = BlockingClock
    _in_threads = False

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
        """Start an execution, wait for its end and return its result.

        Args:
            input: Any JSON value; a text that is a JSON document is sent as that document.
            timeout: Seconds to wait for the end, or a timedelta.
            execution_name: The execution's name; by default a new one.
            payload: A text that is sent as it stands, instead of `input`.
            function_name: The function to run; by default the runner's.
            tenant_id: The tenant, for a function that is isolated by tenants.

        Raises:
            TimeoutError: The execution did not end within `timeout`; the text says why. The
                execution goes on.
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
        """Run one execution for each input, all at once.

        Args:
            inputs: Any JSON values.
            timeout: Seconds for all executions together, or a timedelta.
            function_name: The function to run; by default the runner's.

        Returns:
            The results, in the order of the inputs.
        """
        engine = self._engine
        starts = [
            engine.start_of(input, None, None, function_name, None) for input in inputs_of(inputs)
        ]
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
        """Start an execution and do not wait for its end. The arguments are those of `run`."""
        engine = self._engine
        start = engine.start_of(input, execution_name, payload, function_name, tenant_id)
        return ExecutionHandle(engine, drive(engine.start(start)))

    def stop(
        self,
        execution_arn: str | ExecutionHandle | DurableFunctionTestResult | None = None,
        error: ErrorObject | BaseException | str | None = None,
    ) -> None:
        """End an execution at once, as STOPPED; by default the one that was started last."""
        drive(self._engine.stop(execution_arn, error))


@suggesting
class AsyncDurableFunctionCloudTestRunner(BaseCloudRunner, AwaitedOpening, AwaitedCalls):
    """`DurableFunctionCloudTestRunner` for `async with` and `await`.

    Methods without a docstring do what the methods of that class do.
    """

    _clock = LoopClock
    _in_threads = True

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
        starts = [
            engine.start_of(input, None, None, function_name, None) for input in inputs_of(inputs)
        ]
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
