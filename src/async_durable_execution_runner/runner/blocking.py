"""`DurableFunctionTestRunner`: the entry point for tests.

    with DurableFunctionTestRunner(handler=order_workflow) as runner:
        result = runner.run(input={"order_id": "o-1"}, timeout=10)
    assert result.status is InvocationStatus.SUCCEEDED

Only the shape of the API is here; what it does is `engine.Engine`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from async_durable_execution import ErrorObject

from ..client.settings import Seconds, seconds
from ..core.model import Isolation
from ..results.result import DurableFunctionTestResult
from .engine import DEFAULT_TIMEOUT, Engine
from .fault_plans import Faults
from .handles import BlockingCalls, ExecutionHandle
from .mocks import MockFunction
from .registration import DEFAULT_INVOCATION_RETRIES, DEFAULT_RETRY_BACKOFF

if TYPE_CHECKING:
    from ..client.control import RunnerStatus, Start
    from .explore import CrashReport, Explorer

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


class BaseRunner:
    """What the synchronous and the asynchronous runner have in common."""

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        function_name: str | None = None,
        workers: int | None = None,
        isolation: Isolation | str = Isolation.WORKER,
        skip_time: bool = True,
        execution_timeout: Seconds | None = None,
        invocation_timeout: Seconds | None = None,
        memory: int | None = None,
        env: Mapping[str, str] | None = None,
        invocation_retries: int | None = DEFAULT_INVOCATION_RETRIES,
        retry_backoff: Seconds = DEFAULT_RETRY_BACKOFF,
        listen: str | None = None,
        start_time: datetime | None = None,
        faults: Faults = (),
    ) -> None:
        """A runner for `handler`, a function decorated with `@durable_execution`.

        - `function_name`: its name in Lambda; the handler's own where there is none.
        - `workers`: how many invocations run at once; one per CPU where there is none.
        - `isolation`: "worker", "execution", "invocation" or "inline", see `Isolation`.
        - `skip_time`: waits, retries and time-outs take no real time.
        - `execution_timeout`, `invocation_timeout`: seconds or a timedelta; 366 days (on
          the execution's clock) and 30 seconds (of real time) where there is none.
        - `memory`: MiB a worker may use before it is killed; no limit where there is none.
        - `env`: environment variables of the function.
        - `invocation_retries`, `retry_backoff`: how many failed invocations in a row an execution
          survives (None: any, as on Lambda, until its time-out), and the pause before the first.
        - `listen`: "127.0.0.1:0" for a coordinator of its own on a TCP port, to which worker
          hosts may be connected by hand (`address` and `token`); then `workers=0` starts none.
        - `faults`: a fault plan for each of its executions, such as "kill@after-commit:3";
          `docs/fault-testing.md` has the language.
        - `start_time`: what the clock shows when an execution starts; now where there is none.

        `HandlerNotLoadable` where the handler cannot travel to a worker, or is not durable.
        """
        self._engine = Engine(
            handler,
            function_name=function_name,
            workers=workers,
            isolation=isolation,
            skip_time=skip_time,
            execution_timeout=execution_timeout,
            invocation_timeout=invocation_timeout,
            memory=memory,
            env=env,
            invocation_retries=invocation_retries,
            retry_backoff=retry_backoff,
            listen=listen,
            start_time=start_time,
            faults=faults,
        )

    @property
    def _executions(self) -> Engine:
        return self._engine

    @property
    def function_name(self) -> str:
        return self._engine.function_name

    @property
    def address(self) -> str:
        """Where the coordinator listens, for `durable-runner worker-host --connect`."""
        return self._engine.cluster.address

    @property
    def token(self) -> str:
        """What a worker host has to bring, in DURABLE_RUNNER_TOKEN."""
        return self._engine.cluster.token

    def register_durable_function(
        self,
        name: str,
        handler: Callable[..., Any],
        *,
        isolation: Isolation | str | None = None,
        execution_timeout: Seconds | None = None,
        invocation_timeout: Seconds | None = None,
        memory: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Another durable function, for chained invokes and `run(function_name=...)`.

        `name` may carry a qualifier ("charge:prod"). What is not given is as the runner's.
        """
        self._engine.register(
            name,
            handler,
            durable=True,
            isolation=isolation,
            execution_timeout=execution_timeout,
            invocation_timeout=invocation_timeout,
            memory=memory,
            env=env,
        )

    def register_function(
        self,
        name: str,
        handler: Callable[..., Any],
        *,
        isolation: Isolation | str | None = None,
        invocation_timeout: Seconds | None = None,
        memory: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """A plain function, `handler(event, context)`, for chained invokes."""
        self._engine.register(
            name,
            handler,
            durable=False,
            isolation=isolation,
            invocation_timeout=invocation_timeout,
            memory=memory,
            env=env,
        )

    def mock_function(
        self,
        name: str,
        *,
        result: Any = None,
        error: ErrorObject | BaseException | type[BaseException] | str | None = None,
        side_effect: Callable[[Any], Any] | Iterable[Any] | None = None,
    ) -> MockFunction:
        """A stand-in for a function that is not there; it runs in the test process.

        It returns `result`, or raises `error`, or does what `side_effect` does when called
        with the payload (or gives, one per call). `mock.calls` has the payloads.
        """
        mock = MockFunction(name, result=result, error=error, side_effect=side_effect)
        self._engine.mock(mock)
        return mock

    def __repr__(self) -> str:
        state = "open" if self._engine.is_open else "not open"
        return f"<{type(self).__name__} of {self.function_name!r}, {state}>"


class DurableFunctionTestRunner(BaseRunner, BlockingCalls):
    """Runs a durable function in worker processes. Blocks; fine inside an event loop too."""

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
        if error is None:
            self._engine.plan.check_all()

    def run(
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
        """Start an execution, wait for its end, return its result.

        `input` is any JSON value; text that is a JSON document is that document. `payload`
        is sent as it stands. An execution that times out is a result, TIMED_OUT;
        `TimeoutError`, with the reason, is for `timeout` real seconds without an end.

        `faults` is a plan of what goes wrong and where, beside the runner's; each of it must
        fire (`FaultNeverFired`). `replay_every_checkpoint` kills the worker after each
        checkpoint, so that a handler that leans on its process, on chance or on the clock
        is found out.
        """
        engine = self._engine
        start = engine.start_of(
            input,
            execution_name,
            payload,
            function_name,
            tenant_id=tenant_id,
            faults=faults,
            replay_every_checkpoint=replay_every_checkpoint,
        )
        return engine.drive(engine.run(start, timeout))

    def run_many(
        self,
        inputs: Iterable[Any],
        timeout: Seconds = DEFAULT_TIMEOUT,
        *,
        function_name: str | None = None,
    ) -> list[DurableFunctionTestResult]:
        """One execution per input, in parallel over the workers; results in order.

        `timeout` is for all of them together. Shows progress on a terminal.
        """
        engine = self._engine
        starts = [engine.start_of(input, None, None, function_name) for input in inputs]
        return engine.drive(engine.run_many(starts, timeout))

    def explore_crashes(
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
        """Run once cleanly, then once for each moment at which the worker could die, killing it
        there; `report.assert_ok()` fails with what came out otherwise than cleanly, and where the
        clean run did not succeed and no `check` passes it.

        - `check(result)`: your invariant, for the clean run too; raises, or returns False.
        - `callbacks`: what to answer callbacks with, by name, in this order.
        - `outside(handle)`: plays the outside world of each execution, in a thread.
        - `depth=2`: pairs of crashes too, but for those that lead to nothing new.
        - `timeout`: seconds for each run.

        `AssertionError` if the clean run is wrong already.
        """
        engine = self._engine
        start = engine.start_of(input, None, payload, function_name, record_points=True)
        return explorer(engine, start, timeout, check, callbacks, outside).explore(depth)

    def start(
        self,
        input: Any = None,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
        tenant_id: str | None = None,
        skip_time: bool | None = None,
        faults: Faults = (),
    ) -> ExecutionHandle:
        """Start an execution and do not wait for it."""
        engine = self._engine
        start = engine.start_of(
            input, execution_name, payload, function_name, skip_time, tenant_id, faults
        )
        return ExecutionHandle(engine, engine.drive(engine.start(start)))

    def run_until_suspended(
        self,
        input: Any = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
        execution_name: str | None = None,
        *,
        payload: str | None = None,
        function_name: str | None = None,
        tenant_id: str | None = None,
    ) -> ExecutionHandle:
        """Start an execution and stop where it first waits for time or for somebody.

        No time is skipped until `handle.result()` or `wait_for_result(...)` asks for the end;
        `advance(...)` moves on by as much as is wanted. `handle.snapshot()` shows the state.
        """
        engine = self._engine
        start = engine.start_of(input, execution_name, payload, function_name, tenant_id=tenant_id)
        handle = ExecutionHandle(engine, engine.drive(engine.start(start, hold_time=True)))
        engine.drive(engine.wait(handle.arn, "suspended", timeout))
        return handle

    def advance(
        self,
        duration: timedelta | float,
        execution: str | ExecutionHandle | DurableFunctionTestResult | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> None:
        """Move the clock of an execution, or of all, forward, callback time-outs included.

        Returns when all that fell due on the way has been handled.
        """
        self._engine.drive(self._engine.advance(duration, execution, timeout))

    def serve_aws_api(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        access_keys: Mapping[str, str] | None = None,
    ) -> str:
        """Offer this runner's functions over the AWS API for as long as it is open; the URL.

        For boto3 (`endpoint_url=`), the AWS CLI and the SDKs (`AWS_ENDPOINT_URL_LAMBDA`). With
        `access_keys`, secrets by key id, requests must be signed with one of them; beyond
        loopback there must be one. `InvalidParameterValue` where nothing can listen there.
        """
        return self._engine.drive(self._engine.serve_aws_api(host, port, access_keys))

    def status(self) -> RunnerStatus:
        """The processes behind this runner, and all others of this process."""
        return self._engine.drive(self._engine.status())


def explorer(
    engine: Engine,
    start: Start,
    timeout: Seconds,
    check: Callable[[DurableFunctionTestResult], object] | None,
    callbacks: Mapping[str, Any] | None,
    outside: Callable[[ExecutionHandle], object] | None,
) -> Explorer:
    """For any thread, whatever the calls of the runner go over."""
    from .explore import Explorer

    view = engine.blocking()
    play = None if outside is None else lambda arn: outside(ExecutionHandle(view, arn))
    return Explorer(view, start, seconds(timeout), check, callbacks, play)
