"""What a test asks of executions under way, wherever they run: handles, and the runners' calls.

Each class is there twice, with calls that block and with calls to await, over the one interface
`Executions`.
"""

# ruff: noqa: ASYNC109 - a time-out ends in an error that says what was waited for.

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from async_durable_execution import ErrorObject

from ..client.drive import drive
from ..client.settings import Seconds
from ..results.result import DurableFunctionTestResult, Event
from .engine import DEFAULT_TIMEOUT
from .keywords import suggesting

if TYPE_CHECKING:
    from ..client.control import Until

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


class Executions(Protocol):
    """The executions of the coordinator, or of Lambda."""

    async def wait(
        self, execution: object, until: Until, timeout: Seconds
    ) -> DurableFunctionTestResult: ...

    async def wait_for_callback(
        self, execution: object, name: str | None, timeout: Seconds
    ) -> str: ...

    async def callback_success(self, callback_id: str, result: object) -> None: ...

    async def callback_failure(self, callback_id: str, error: object) -> None: ...

    async def callback_heartbeat(self, callback_id: str) -> None: ...

    async def stop(self, execution: object, error: object) -> None: ...

    async def advance(self, duration: Seconds, execution: object, timeout: Seconds) -> None: ...


@suggesting
class BlockingCalls(ABC):
    """What every blocking runner is asked about executions that have been started."""

    @property
    @abstractmethod
    def _executions(self) -> Executions: ...

    @abstractmethod
    def start(
        self,
        input: Any = None,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
    ) -> ExecutionHandle: ...

    def run_async(
        self,
        input: Any = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
    ) -> str:
        """Start an execution and return its ARN. Nothing waits, so `timeout` has no effect."""
        handle = self.start(input, execution_name, payload=payload, function_name=function_name)
        return handle.arn

    def wait_for_result(
        self,
        execution_arn: str | ExecutionHandle | DurableFunctionTestResult,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> DurableFunctionTestResult:
        return drive(self._executions.wait(execution_arn, "ended", timeout))

    def wait_for_callback(
        self,
        execution_arn: str | ExecutionHandle | DurableFunctionTestResult | None = None,
        name: str | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> str:
        """Wait for an open callback and return its id.

        Args:
            execution_arn: An execution's ARN, handle or result; by default the execution that
                was started last. A text that is not an ARN is taken as `name`.
            name: The callback's name, or that of the `wait_for_callback` operation that made it;
                by default any callback will do.
            timeout: Real seconds to wait, or a timedelta.

        Raises:
            OperationNotFound: The execution ended without the callback.
            TimeoutError: No such callback was open within `timeout`; the text says why.
        """
        return drive(self._executions.wait_for_callback(execution_arn, name, timeout))

    def send_callback_success(self, callback_id: str, result: Any = None) -> None:
        """Complete a callback. Text and bytes are sent as they stand, anything else as JSON."""
        drive(self._executions.callback_success(callback_id, result))

    def send_callback_failure(
        self, callback_id: str, error: ErrorObject | BaseException | str | None = None
    ) -> None:
        drive(self._executions.callback_failure(callback_id, error))

    def send_callback_heartbeat(self, callback_id: str) -> None:
        drive(self._executions.callback_heartbeat(callback_id))


@suggesting
class AwaitedCalls(ABC):
    """`BlockingCalls`, with calls to await."""

    @property
    @abstractmethod
    def _executions(self) -> Executions: ...

    @abstractmethod
    async def start(
        self,
        input: Any = None,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
    ) -> AsyncExecutionHandle: ...

    async def run_async(
        self,
        input: Any = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
    ) -> str:
        """Start an execution and return its ARN. Nothing waits, so `timeout` has no effect."""
        handle = await self.start(
            input, execution_name, payload=payload, function_name=function_name
        )
        return handle.arn

    async def wait_for_result(
        self,
        execution_arn: str | AsyncExecutionHandle | DurableFunctionTestResult,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> DurableFunctionTestResult:
        return await self._executions.wait(execution_arn, "ended", timeout)

    async def wait_for_callback(
        self,
        execution_arn: str | AsyncExecutionHandle | DurableFunctionTestResult | None = None,
        name: str | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> str:
        return await self._executions.wait_for_callback(execution_arn, name, timeout)

    async def send_callback_success(self, callback_id: str, result: Any = None) -> None:
        await self._executions.callback_success(callback_id, result)

    async def send_callback_failure(
        self, callback_id: str, error: ErrorObject | BaseException | str | None = None
    ) -> None:
        await self._executions.callback_failure(callback_id, error)

    async def send_callback_heartbeat(self, callback_id: str) -> None:
        await self._executions.callback_heartbeat(callback_id)


@suggesting
class ExecutionHandle:
    """An execution under way, wherever it runs."""

    def __init__(self, executions: Executions, arn: str) -> None:
        self._executions = executions
        self.arn = arn

    @property
    def execution_arn(self) -> str:
        return self.arn

    def result(self, timeout: Seconds = DEFAULT_TIMEOUT) -> DurableFunctionTestResult:
        """The result at the execution's end; `TimeoutError`, with the reason, if that does not come
        within `timeout` (real seconds, or a timedelta)."""
        return drive(self._executions.wait(self.arn, "ended", timeout))

    def snapshot(self) -> DurableFunctionTestResult:
        """The execution as it is now; PENDING while it has not ended."""
        return drive(self._executions.wait(self.arn, "now", DEFAULT_TIMEOUT))

    def run_until_suspended(self, timeout: Seconds = DEFAULT_TIMEOUT) -> DurableFunctionTestResult:
        """The result as soon as the execution waits for time or for somebody, or has ended."""
        return drive(self._executions.wait(self.arn, "suspended", timeout))

    def history(self) -> list[Event]:
        return self.snapshot().history

    def describe(self) -> str:
        return self.snapshot().describe()

    def stop(self, error: ErrorObject | BaseException | str | None = None) -> None:
        """End the execution at once, as STOPPED."""
        drive(self._executions.stop(self.arn, error))

    def wait_for_callback(self, name: str | None = None, timeout: Seconds = DEFAULT_TIMEOUT) -> str:
        """Wait for an open callback of this execution and return its id."""
        return drive(self._executions.wait_for_callback(self, name, timeout))

    def advance(self, duration: timedelta | float, timeout: Seconds = DEFAULT_TIMEOUT) -> None:
        """Move the execution's clock forward by `duration` (seconds, or a timedelta); return when
        what fell due has been handled."""
        drive(self._executions.advance(duration, self, timeout))

    def __repr__(self) -> str:
        return f"<ExecutionHandle {self.arn}>"


@suggesting
class AsyncExecutionHandle:
    """An execution under way, wherever it runs."""

    def __init__(self, executions: Executions, arn: str) -> None:
        self._executions = executions
        self.arn = arn

    @property
    def execution_arn(self) -> str:
        return self.arn

    async def result(self, timeout: Seconds = DEFAULT_TIMEOUT) -> DurableFunctionTestResult:
        """The result at the execution's end; `TimeoutError`, with the reason, if that does not come
        within `timeout` (real seconds, or a timedelta)."""
        return await self._executions.wait(self.arn, "ended", timeout)

    async def snapshot(self) -> DurableFunctionTestResult:
        """The execution as it is now; PENDING while it has not ended."""
        return await self._executions.wait(self.arn, "now", DEFAULT_TIMEOUT)

    async def run_until_suspended(
        self, timeout: Seconds = DEFAULT_TIMEOUT
    ) -> DurableFunctionTestResult:
        """The result as soon as the execution waits for time or for somebody, or has ended."""
        return await self._executions.wait(self.arn, "suspended", timeout)

    async def history(self) -> list[Event]:
        return (await self.snapshot()).history

    async def describe(self) -> str:
        return (await self.snapshot()).describe()

    async def stop(self, error: ErrorObject | BaseException | str | None = None) -> None:
        """End the execution at once, as STOPPED."""
        await self._executions.stop(self.arn, error)

    async def wait_for_callback(
        self, name: str | None = None, timeout: Seconds = DEFAULT_TIMEOUT
    ) -> str:
        """Wait for an open callback of this execution and return its id."""
        return await self._executions.wait_for_callback(self, name, timeout)

    async def advance(
        self, duration: timedelta | float, timeout: Seconds = DEFAULT_TIMEOUT
    ) -> None:
        """Move the execution's clock forward by `duration` (seconds, or a timedelta); return when
        what fell due has been handled."""
        await self._executions.advance(duration, self, timeout)

    def __repr__(self) -> str:
        return f"<AsyncExecutionHandle {self.arn}>"
