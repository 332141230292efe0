"""`BaseRunner`: what both runners are made of, and how functions are registered with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from async_durable_execution import ErrorObject

from ..client.settings import FunctionSettings, Seconds, seconds, settings
from ..core.model import Isolation
from ..results.result import DurableFunctionTestResult
from . import patched
from .engine import Engine
from .fault_plans import Faults
from .handles import ExecutionHandle
from .keywords import suggesting
from .mocks import MockFunction
from .registration import DEFAULT_INVOCATION_RETRIES, DEFAULT_RETRY_BACKOFF, Attachment

if TYPE_CHECKING:
    from ..client.control import Start
    from .explore import Explorer

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


@suggesting
class BaseRunner:
    """What the synchronous and the asynchronous runner have in common."""

    mode = "local"

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
        worker_setup: Callable[[], object] | str | None = None,
        invocation_retries: int | None = DEFAULT_INVOCATION_RETRIES,
        retry_backoff: Seconds = DEFAULT_RETRY_BACKOFF,
        listen: str | None = None,
        coordinator: str | None = None,
        by_value: bool = False,
        labels: Mapping[str, str] | None = None,
        resume_on: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
        region: str | None = None,
        account: str | None = None,
        start_time: datetime | None = None,
        faults: Faults = (),
    ) -> None:
        """A runner for `handler`, a function decorated with `@durable_execution`.

        Args:
            handler: The function; it must be importable or picklable unless it runs inline.
            function_name: Its name in Lambda; by default the handler's own.
            workers: How many invocations run at once; by default one per CPU.
            isolation: "worker", "execution", "invocation" or "inline", see `Isolation`.
            skip_time: Whether waits, retries and time-outs take no real time.
            execution_timeout: Seconds on the execution's clock, or a timedelta; by default 366
                days.
            invocation_timeout: Seconds of real time, or a timedelta; by default 30 seconds.
            memory: MiB that a worker may use before it is killed; by default there is no limit.
            env: Environment variables of the function.
            worker_setup: What each worker runs once before it loads a handler, to fake what
                handlers call: a callable without parameters, or "module:function". A context
                manager that it returns is entered. `docs/fakes.md` has examples.
            invocation_retries: How many failed invocations in a row an execution survives. None:
                any number until the execution's time-out, as on Lambda.
            retry_backoff: Seconds before the first of these retries, or a timedelta.
            listen: "127.0.0.1:0" gives the runner a coordinator of its own on a TCP port, to
                which worker hosts may be connected by hand (`address` and `token`); `workers=0`
                then starts no workers.
            coordinator: "HOST:PORT" of a coordinator that runs already, with worker hosts of its
                own; by default the environment variable DURABLE_RUNNER_COORDINATOR, or without it
                a private one on this machine. `docs/remote-workers.md` says what it knows runners
                by.
            by_value: Whether code that workers of such a coordinator cannot import, such as a
                function within a test, is sent to them in a pickle.
            labels: What the labels of worker hosts must have that run its executions, such as
                {"sdk": "2.0.0"}. Those with the label "code" may have other code than the test.
            resume_on: The same for all invocations of an execution but the first: a handler that
                begins on one release, or with old code, goes on with another.
            limits: The most bytes of a payload by its kind, where not those that
                `docs/aws-api.md` lists, such as {"step_output": 1_048_576}.
            region: The region in the functions' ARNs and environments; by default that of the
                environment variable AWS_REGION, or without it us-east-1.
            account: The account in the functions' ARNs; by default 123456789012.
            start_time: What the clock shows when an execution starts; by default the time of day.
            faults: A fault plan for each execution of this runner, such as
                "kill@after-commit:3"; `docs/fault-testing.md` describes the language.

        Raises:
            HandlerNotLoadable: The handler, or `worker_setup`, cannot travel to a worker, or the
                handler is not durable.
            ValueError: One of the other arguments cannot be.
        """
        super().__init__()
        defaults = settings(
            FunctionSettings(),
            isolation=isolation,
            execution_timeout=execution_timeout,
            invocation_timeout=invocation_timeout,
            memory=memory,
            env=env,
            worker_setup=worker_setup,
        )
        attachment = Attachment(
            defaults,
            workers=workers,
            invocation_retries=invocation_retries,
            retry_backoff=retry_backoff,
            listen=listen,
            coordinator=coordinator,
            by_value=by_value,
            start_time=start_time,
            limits=limits,
            region=region,
            account=account,
        )
        self._engine = Engine(
            attachment,
            handler,
            function_name,
            skip_time=skip_time,
            faults=faults,
            labels=labels,
            resume_on=resume_on,
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
        return self._engine.attachment.cluster.address

    @property
    def token(self) -> str:
        """What a worker host must have in its environment as DURABLE_RUNNER_TOKEN."""
        return self._engine.attachment.cluster.token

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
    ) -> Self:
        """Add a durable function, for chained invokes and `run(function_name=...)`.

        Returns the runner, so that more may be added in the same line.

        Args:
            name: The function's name, with a qualifier ("charge:prod") or without.
            handler: A function decorated with `@durable_execution`.
            isolation, execution_timeout, invocation_timeout, memory, env: As for the runner,
                whose own hold where these are not given; `env` is added to the runner's.

        Raises:
            HandlerNotLoadable: The handler cannot travel to a worker, or is not durable.
        """
        attachment = self._engine.attachment
        own = settings(
            attachment.defaults,
            isolation=isolation,
            execution_timeout=execution_timeout,
            invocation_timeout=invocation_timeout,
            memory=memory,
            env=env,
        )
        attachment.register(name, handler, durable=True, settings=own)
        return self

    def register_function(
        self,
        name: str,
        handler: Callable[..., Any],
        *,
        isolation: Isolation | str | None = None,
        invocation_timeout: Seconds | None = None,
        memory: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """Add a plain function, `handler(event, context)`, for chained invokes; return the runner.

        Args:
            name: The function's name, with a qualifier ("charge:prod") or without.
            handler: A function that is not durable.
            isolation, invocation_timeout, memory, env: As for the runner, whose own hold where
                these are not given; `env` is added to the runner's.

        Raises:
            HandlerNotLoadable: The handler cannot travel to a worker, or is durable.
        """
        attachment = self._engine.attachment
        own = settings(
            attachment.defaults,
            isolation=isolation,
            invocation_timeout=invocation_timeout,
            memory=memory,
            env=env,
        )
        attachment.register(name, handler, durable=False, settings=own)
        return self

    def mock_function(
        self,
        name: str,
        *,
        result: Any = None,
        error: ErrorObject | BaseException | type[BaseException] | str | None = None,
        side_effect: Callable[[Any], Any] | Iterable[Any] | None = None,
    ) -> MockFunction:
        """Add a stand-in for a function that is not there. The mock runs in the test process.

        Args:
            name: The name of the function that the mock stands in for.
            result: What the mock returns, any JSON value.
            error: What the mock raises instead.
            side_effect: A function that is called with each payload and whose outcome is the
                mock's, or an iterable with one outcome for each call.

        Returns:
            The mock; `mock.calls` has the payloads that it was called with.
        """
        mock = MockFunction(name, result=result, error=error, side_effect=side_effect)
        self._engine.attachment.mock(mock)
        return mock

    def __repr__(self) -> str:
        state = "open" if self._engine.attachment.is_open else "not open"
        return f"<{type(self).__name__} of {self.function_name!r}, {state}>"


def explorer(
    engine: Engine,
    start: Start,
    timeout: Seconds,
    check: Callable[[DurableFunctionTestResult], object] | None,
    callbacks: Mapping[str, Any] | None,
    outside: Callable[[ExecutionHandle], object] | None,
) -> Explorer:
    """What explores the crashes of `start`, in any thread, for either runner."""
    from .explore import Explorer

    patched.note_all(engine.attachment)
    view = engine.blocking()
    play = None if outside is None else lambda arn: outside(ExecutionHandle(view, arn))
    return Explorer(view, start, seconds(timeout), check, callbacks, play)
