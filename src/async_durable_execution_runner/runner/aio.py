"""`AsyncDurableFunctionTestRunner`: the entry point for asynchronous tests.

Only the shape of the API is here; `engine.Engine` does the work.
"""

# ruff: noqa: ASYNC109 - a time-out ends in an error that says what was waited for.

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..client.settings import Seconds
from ..results.result import DurableFunctionTestResult
from . import suite
from .base import BaseRunner, explorer
from .engine import DEFAULT_TIMEOUT
from .fault_plans import Faults
from .handles import AsyncExecutionHandle, AwaitedCalls, ExecutionHandle
from .keywords import suggesting
from .opening import AwaitedOpening, to_its_end
from .payloads import inputs_of

if TYPE_CHECKING:
    from ..client.control import RunnerStatus
    from ..client.transport import LoopTransport
    from ..core.fault_places import CrashPoint
    from .explore import CrashReport

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


@suggesting
class AsyncDurableFunctionTestRunner(BaseRunner, AwaitedOpening, AwaitedCalls):
    """`DurableFunctionTestRunner` for `async with` and `await`.

    Methods without a docstring do what the methods of that class do.
    """

    _transport: LoopTransport

    async def _open(self) -> None:
        await super()._open()
        self._transport = self._engine.use_loop()

    async def _close(self, *, check: bool) -> None:
        def close() -> None:
            if not check:
                suite.failing(self._engine)
            self._engine.close()

        try:
            await to_its_end(close)
        finally:
            await self._transport.close()
        if check:
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
        replay_every_checkpoint: bool | None = None,
        labels: Mapping[str, str] | None = None,
        resume_on: Mapping[str, str] | None = None,
        resume_after: int = 1,
    ) -> DurableFunctionTestResult:
        start = self._engine.start_of(
            input,
            execution_name,
            payload,
            function_name,
            tenant_id=tenant_id,
            faults=faults,
            replay_every_checkpoint=replay_every_checkpoint,
            labels=labels,
            resume_on=resume_on,
            resume_after=resume_after,
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
        """As in `DurableFunctionTestRunner`; `outside` runs in a thread and is called with a handle
        that blocks."""
        engine = self._engine
        start = engine.start_of(input, None, payload, function_name, record_points=True)
        explore = explorer(engine, start, timeout, check, callbacks, outside).explore
        return await asyncio.to_thread(explore, depth)

    async def crash_points(
        self,
        input: Any = None,
        *,
        callbacks: Mapping[str, Any] | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
        payload: str | None = None,
        function_name: str | None = None,
    ) -> list[CrashPoint]:
        engine = self._engine
        start = engine.start_of(input, None, payload, function_name, record_points=True)
        clean = explorer(engine, start, timeout, None, callbacks, None).clean
        return (await asyncio.to_thread(clean)).crash_points

    async def run_many(
        self,
        inputs: Iterable[Any],
        timeout: Seconds = DEFAULT_TIMEOUT,
        *,
        function_name: str | None = None,
    ) -> list[DurableFunctionTestResult]:
        starts = [
            self._engine.start_of(input, None, None, function_name) for input in inputs_of(inputs)
        ]
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
        allow_hosts: Sequence[str] = (),
    ) -> str:
        """The URL at which this runner's functions are offered over the AWS API."""
        return await self._engine.serve_aws_api(host, port, access_keys, allow_hosts)

    async def status(self) -> RunnerStatus:
        """The processes behind this runner and behind all others of the test process."""
        return await self._engine.status()
