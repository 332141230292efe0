"""`DurableFunctionTestRunner`: the entry point for tests.

    with DurableFunctionTestRunner(handler=order_workflow) as runner:
        result = runner.run(input={"order_id": "o-1"}, timeout=10)
    assert result.status is InvocationStatus.SUCCEEDED

Only the shape of the API is here; `engine.Engine` does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..client.drive import drive
from ..client.settings import Seconds
from ..results.result import DurableFunctionTestResult
from . import suite
from .base import BaseRunner, explorer
from .engine import DEFAULT_TIMEOUT
from .fault_plans import Faults
from .handles import BlockingCalls, ExecutionHandle
from .keywords import suggesting
from .opening import BlockingOpening
from .payloads import inputs_of

if TYPE_CHECKING:
    from ..client.control import RunnerStatus
    from ..core.fault_places import CrashPoint
    from .explore import CrashReport

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


@suggesting
class DurableFunctionTestRunner(BaseRunner, BlockingOpening, BlockingCalls):
    """Runs a durable function in worker processes.

    The calls block, and may be made where an event loop runs too.
    """

    def _close(self, *, check: bool) -> None:
        if not check:
            suite.failing(self._engine)
        super()._close(check=check)
        if check:
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
        replay_every_checkpoint: bool | None = None,
        labels: Mapping[str, str] | None = None,
        resume_on: Mapping[str, str] | None = None,
        resume_after: int = 1,
    ) -> DurableFunctionTestResult:
        """Start an execution, wait for its end and return its result.

        An execution that times out on its own clock has a result too, TIMED_OUT.

        Args:
            input: Any JSON value; a text that is a JSON document is sent as that document.
            timeout: Real seconds to wait for the end, or a timedelta.
            execution_name: The execution's name; by default a new one.
            payload: A text that is sent as it stands, instead of `input`.
            function_name: The function to run; by default that of the runner's handler.
            tenant_id: The tenant, for a function that is isolated by tenants.
            faults: What goes wrong and where, beside the runner's own faults.
            replay_every_checkpoint: Whether the worker is killed after each checkpoint, so that
                a handler that depends on its process, on chance or on the clock is found out;
                by default only under `pytest --durable-replay`.
            labels, resume_on: As for the runner, for this execution only.
            resume_after: How many invocations there are before `resume_on` holds.

        Raises:
            TimeoutError: The execution did not end within `timeout`; the text says why.
            FaultNeverFired: One of `faults` found no moment to strike.
            NonDeterministicHandler: With `replay_every_checkpoint`, a replay asked for other
                operations than are recorded.
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
            labels=labels,
            resume_on=resume_on,
            resume_after=resume_after,
        )
        return drive(engine.run(start, timeout))

    def run_many(
        self,
        inputs: Iterable[Any],
        timeout: Seconds = DEFAULT_TIMEOUT,
        *,
        function_name: str | None = None,
    ) -> list[DurableFunctionTestResult]:
        """Run one execution for each input, in parallel over the workers.

        Progress is shown where standard error is a terminal.

        Args:
            inputs: Any JSON values.
            timeout: Real seconds for all executions together, or a timedelta.
            function_name: The function to run; by default that of the runner's handler.

        Returns:
            The results, in the order of the inputs.

        Raises:
            TimeoutError: One of the executions did not end within `timeout`.
        """
        engine = self._engine
        starts = [engine.start_of(input, None, None, function_name) for input in inputs_of(inputs)]
        return drive(engine.run_many(starts, timeout))

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
        """Run once without a crash, then once for each moment at which the worker could die, and
        kill the worker there.

        With `resume_on`, the clean run stays with the worker hosts of `labels`. Each other one goes
        on elsewhere after its crash, and so does one without a crash for each suspension.

        `report.assert_ok()` fails if a run came out otherwise than the clean one, or if the clean
        run did not succeed and there is no `check` that passes it.

        Args:
            input: Any JSON value, as for `run`.
            check: Your invariant: it is called with each result, the clean one too, and raises
                or returns False where that is wrong.
            callbacks: The results with which callbacks are answered, by name, in this order.
            outside: Plays the outside world of each execution: it is called with a handle, in a
                thread.
            depth: 1, or 2 for pairs of crashes too, without those that lead to nothing new.
            timeout: Real seconds for each run, or a timedelta.
            payload: A text that is sent as it stands, instead of `input`.
            function_name: The function to run; by default that of the runner's handler.

        Raises:
            AssertionError: The clean run is wrong already.
        """
        engine = self._engine
        start = engine.start_of(input, None, payload, function_name, record_points=True)
        return explorer(engine, start, timeout, check, callbacks, outside).explore(depth)

    def crash_points(
        self,
        input: Any = None,
        *,
        callbacks: Mapping[str, Any] | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
        payload: str | None = None,
        function_name: str | None = None,
    ) -> list[CrashPoint]:
        """Run once and list the moments at which faults can strike, in order.

        The `moment` of each is what stands behind the @ of a fault. The arguments are those of
        `explore_crashes`.
        """
        engine = self._engine
        start = engine.start_of(input, None, payload, function_name, record_points=True)
        return explorer(engine, start, timeout, None, callbacks, None).clean().crash_points

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
        """Start an execution and do not wait for its end.

        Args:
            skip_time: Whether waits, retries and time-outs of this execution take no real time;
                by default as the runner has it.

        The other arguments are those of `run`.
        """
        engine = self._engine
        start = engine.start_of(
            input, execution_name, payload, function_name, skip_time, tenant_id, faults
        )
        return ExecutionHandle(engine, drive(engine.start(start)))

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
        """Start an execution and return when it first waits for time or for somebody, or ends.

        No time is skipped until `handle.result()` or `wait_for_result(...)` asks for the end;
        `advance(...)` moves the clock by as much as is wanted. `handle.snapshot()` shows the
        state. The arguments are those of `run`.
        """
        engine = self._engine
        start = engine.start_of(input, execution_name, payload, function_name, tenant_id=tenant_id)
        handle = ExecutionHandle(engine, drive(engine.start(start, hold_time=True)))
        drive(engine.wait(handle.arn, "suspended", timeout))
        return handle

    def advance(
        self,
        duration: timedelta | float,
        execution: str | ExecutionHandle | DurableFunctionTestResult | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> None:
        """Move the clock forward, and return when all that fell due on the way has been handled.

        Args:
            duration: Seconds on the execution's clock, or a timedelta. Time-outs of callbacks
                fall due too.
            execution: An execution's ARN, handle or result; by default all of this runner.
            timeout: Real seconds to wait for what fell due, or a timedelta.

        Raises:
            TimeoutError: What fell due was not done within `timeout`.
        """
        drive(self._engine.advance(duration, execution, timeout))

    def serve_aws_api(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        access_keys: Mapping[str, str] | None = None,
        allow_hosts: Sequence[str] = (),
    ) -> str:
        """Offer this runner's functions over the AWS API for as long as the runner is open.

        Args:
            host: The address to listen on.
            port: The port to listen on; 0 takes any that is free.
            access_keys: Secrets by key id. Where there are any, requests must be signed with one
                of them; on an address beyond loopback there must be one.
            allow_hosts: Where there are no access keys, requests for another host than this
                machine's own loopback are refused, and so are those of web pages. Requests for
                these hosts are taken, and those of their pages.

        Returns:
            The URL, for boto3 (`endpoint_url=`), the AWS CLI and the SDKs
            (`AWS_ENDPOINT_URL_LAMBDA`).

        Raises:
            InvalidParameterValue: Nothing can listen there, or one of `allow_hosts` is not a host.
        """
        return drive(self._engine.serve_aws_api(host, port, access_keys, allow_hosts))

    def status(self) -> RunnerStatus:
        """The processes behind this runner and behind all others of the test process."""
        return drive(self._engine.status())
