"""The runner with the surface of the SDK's own.

Only the shape of the API is here; `engine.Engine` does the work.
"""

# ruff: noqa: ASYNC109 - a time-out ends in an error that says what was waited for.

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from async_durable_execution import ErrorObject

from ..client.settings import FunctionSettings
from ..results.result import DurableFunctionTestResult
from .engine import Engine
from .mocks import MockFunction
from .opening import check_loop
from .registration import Attachment

if TYPE_CHECKING:
    from ..client.transport import LoopTransport

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


def create_local_runner(
    *,
    handler: Callable[..., Any],
    poll_interval: float = 1.0,
    input: Any = None,
    timeout: int = 60,
) -> DurableFunctionLocalTestRunner:
    """A runner with the interface of the SDK's own, for suites that were written for that one.

    Args:
        handler: A function decorated with `@durable_execution`.
        poll_interval: Has no effect: nothing is polled.
        input: Any JSON value; a text that is a JSON document is sent as that document.
        timeout: Real seconds that `run` waits for the end.
    """
    return DurableFunctionLocalTestRunner(
        handler=handler, poll_interval=poll_interval, input=input, timeout=timeout
    )


class DurableFunctionLocalTestRunner:
    """The SDK's runner, for `with`, `async with` or neither: it opens when it is first used, on
    the loop on which that happens."""

    mode = "local"

    def __init__(
        self,
        handler: Callable[..., Any],
        poll_interval: float = 1.0,
        input: Any = None,
        timeout: int = 900,
        function_name: str = "test-function",
    ) -> None:
        """A runner for `handler`.

        Args:
            handler: A function decorated with `@durable_execution`.
            poll_interval: Has no effect: nothing is polled.
            input: Any JSON value; a text that is a JSON document is sent as that document.
            timeout: Real seconds that `run` waits for the end.
            function_name: The function's name in Lambda.
        """
        self.poll_interval = poll_interval
        self._engine = Engine(Attachment(FunctionSettings()), handler, function_name)
        self._input = input
        self._timeout = timeout
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
        if transport is not None:
            # Without a loop, the channels close by themselves.
            with suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                self._closing = loop.create_task(transport.close())

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
        """Have each chained invoke of `function_name` return `result`."""
        self._engine.attachment.mock(MockFunction(function_name, result=result))

    async def _opened(self) -> Engine:
        check_loop()
        attachment = self._engine.attachment
        if not attachment.is_open:
            await asyncio.to_thread(attachment.ensure_open)
        if self._transport is None:
            self._transport = self._engine.use_loop()
        return self._engine
