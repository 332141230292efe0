"""`Starter`: starts executions, those that a caller asks for and those that others invoke in a
chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..core import events as ev
from ..core import faults, limits
from ..core.commands import InvokeFunction
from ..core.execution import Execution, ExecutionConfig
from ..core.model import Isolation
from ..errors import DurableExecutionAlreadyStarted, InvalidParameterValue
from .clock import VirtualClock
from .injection import Injection
from .injector import Injector, check_feasible
from .leases import Leases
from .runs import Family, Run, Workspace
from .timekeeper import Timekeeper
from .workers import Function


class Starter:
    def __init__(
        self,
        leases: Leases,
        timekeeper: Timekeeper,
        runs: dict[str, Run],
        injectors: dict[str, Injector],
        new_id: Callable[[], str],
        feed: Callable[[Run, ev.Event], object],
    ) -> None:
        """Make the part of an executor that starts executions.

        Args:
            leases: What the injectors strike at.
            timekeeper: Where a new execution's clock is kept.
            runs: Takes each new execution, by its ARN.
            injectors: Takes the injector of each execution that has one, by the ARN.
            new_id: Makes unique strings.
            feed: Takes an execution one turn further.
        """
        self._leases = leases
        self._timekeeper = timekeeper
        self._runs = runs
        self._injectors = injectors
        self._new_id = new_id
        self._feed = feed

    def start(
        self,
        workspace: Workspace,
        function_name: str,
        payload: str,
        name: str,
        *,
        skip_time: bool,
        hold_time: bool = False,
        tenant_id: str | None = None,
        client_context: str | None = None,
        plan: faults.Plan | None = None,
        record_points: bool = False,
        retry_at_once: bool = False,
        log_levels: Mapping[str, int] | None = None,
        coverage_context: str = "",
        labels: Mapping[str, str] | None = None,
        resume_on: Mapping[str, str] | None = None,
        resume_after: int = 1,
    ) -> Run:
        """Start an execution, or return the one that was started with this name and input.

        Args:
            workspace: Where the function is registered.
            function_name: The function's name or ARN.
            payload: The input, as JSON.
            name: The execution's name, unique for its function in the workspace.
            skip_time: Whether the clock jumps to the next timer while nothing runs.
            hold_time: Whether no time is skipped until somebody waits for the end.
            tenant_id: The tenant that handlers see.
            client_context: What the caller says of itself, as a JSON object.
            plan: The faults that strike the execution.
            record_points: Whether to record the moments at which a fault can strike, with keys.
            retry_at_once: Whether retries of failed invocations neither pause nor run out.
            log_levels: The levels of logging, by the names of the loggers.
            coverage_context: The context that coverage notes lines under.
            labels: What the labels of the worker hosts of its invocations must have.
            resume_on: The same once it has had `resume_after` invocations, if that is not empty.
            resume_after: That number.

        Raises:
            ResourceNotFound: There is no such function.
            InvalidParameterValue: The function is not durable, or a fault cannot be carried out.
            DurableExecutionAlreadyStarted: An execution of this name has another input.
        """
        function = workspace.find(function_name)
        if not function.durable:
            raise InvalidParameterValue(
                f"{function.name} is not a durable function, so it has no executions; "
                "register it with register_durable_function()."
            )
        if before := workspace.names.get((function.name, name)):
            if before.execution.root.input == payload:
                return before
            raise DurableExecutionAlreadyStarted(
                f"An execution named {name!r} of {function.name} was started with another input."
            )
        if function.isolation is Isolation.WORKER and (record_points or retry_at_once):
            # The death of a process must lose all that the execution left there, but a warm process
            # may know the same from other executions.
            function = replace(function, isolation=Isolation.EXECUTION)
        if plan is not None or record_points:
            plan = plan or faults.Plan(())
            check_feasible(plan, inline=function.isolation is Isolation.INLINE)
        arn = self.new_arn(function, name)
        family = self._timekeeper.add_family(VirtualClock(workspace.epoch_ms), skip_time, hold_time)
        family.log_levels = log_levels or {}
        family.coverage_context = coverage_context
        family.labels = frozenset((labels or {}).items())
        family.resume_on = frozenset((resume_on or {}).items())
        family.resume_after = resume_after
        run = self._new_run(workspace, function, arn, name, family, retry_at_once)
        run.tenant_id, run.client_context = tenant_id, client_context
        if plan is not None:
            run.injection = Injection(plan, record_points)
            self._injectors[arn] = Injector(self._leases, self._timekeeper, run, run.injection)
        self._feed(run, ev.Started(run.now, payload))
        return run

    def start_chained(
        self, parent: Run, command: InvokeFunction, function: Function, arn: str
    ) -> None:
        """Start the execution that `parent` has invoked in a chain, under an ARN made before."""
        name = arn.split("/")[-2]
        run = self._new_run(parent.workspace, function, arn, name, parent.family, chained=True)
        run.parent = (parent, command.operation_id)
        run.tenant_id = command.tenant_id
        self._feed(run, ev.Started(run.now, command.payload))

    def new_arn(self, function: Function, name: str = "") -> str:
        # An ARN has room for one qualifier, and the version is what is executed.
        bare = function.arn.removesuffix(f":{function.qualifier}")
        name = name or self._new_id()
        return f"{bare}:{function.version}/durable-execution/{name}/{self._new_id()}"

    def _new_run(
        self,
        workspace: Workspace,
        function: Function,
        arn: str,
        name: str,
        family: Family,
        retry_at_once: bool = False,
        chained: bool = False,
    ) -> Run:
        sizes = workspace.limits
        if chained:
            sizes = replace(sizes, execution_output=sizes.invoke_output)
        config = ExecutionConfig(
            arn=arn,
            name=name,
            function_name=function.name,
            timeout_ms=function.execution_timeout_seconds * 1000,
            invocation_retries=(
                limits.ENDLESS_RETRIES if retry_at_once else workspace.invocation_retries
            ),
            retry_backoff_ms=0 if retry_at_once else workspace.retry_backoff_ms,
            limits=sizes,
        )
        self._leases.pool.tallies.executions_started += 1
        run = Run(Execution(config), workspace, function, family)
        family.add(run)
        self._runs[arn] = run
        workspace.runs[arn] = run
        workspace.names[function.name, name] = run
        return run
