"""The operations of Lambda on functions, for AWS's own clients: `Invoke`, `GetFunction`, lists.

Each operation takes and returns dicts with the service model's member names. The gateway has
checked each request against the model.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..core import limits, shapes
from ..core.faults import Plan
from ..core.model import ErrorObject, ExecutionStatus, OutputLine
from ..core.operations.chained_invoke import ANY_FUNCTION, parse_function_name
from ..core.shapes import Json
from ..errors import InvalidParameterValue, ResourceNotFound, RunnerError
from ..gateway import json_text
from ..gateway.refusals import Refusal, not_readable
from . import causes
from .executor import Executor
from .runs import InvocationState, PlainInvocation, Run, Workspace
from .until import until
from .workers import Function

#: The longest time that a caller can wait for an answer.
_SYNCHRONOUS_SECONDS = 15 * 60
_EVENT_BYTES = 1024 * 1024
_CLIENT_CONTEXT_BYTES = 3583
#: The bytes of the log that goes with an answer.
_LOG_BYTES = 4096
#: Callers are other processes, which may take a while to learn of a callback.
_ANSWER_GRACE_SECONDS = 5.0
_LIST_ITEMS = 50
#: Seconds before each further attempt at an event that a plain function has failed to handle.
_EVENT_RETRIES = (60, 120)


class LambdaFunctions:
    """The operations on the functions of one workspace, which see nothing of other workspaces."""

    def __init__(
        self,
        executor: Executor,
        workspace: Workspace,
        new_id: Callable[[], str],
        skip_time: bool,
        plan: Plan | None,
    ) -> None:
        """Serve the functions of `workspace`.

        Args:
            executor: Starts the executions.
            workspace: The workspace that is served.
            new_id: Makes names for executions that are started without a name.
            skip_time: Whether executions that are started by an `Invoke` skip time.
            plan: The faults that strike the executions that are started by an `Invoke`.
        """
        self._executor = executor
        self._workspace = workspace
        self._new_id = new_id
        self._skip_time = skip_time
        self._plan = plan
        self._events: set[asyncio.Task[None]] = set()

    # -- invocations -----------------------------------------------------------------------

    async def invoke(self, given: Json) -> Json:
        function = find_function(self._workspace, given)
        kind = given.get("InvocationType", "RequestResponse")
        synchronous = kind == "RequestResponse"
        payload = _payload(given.get("Payload", b""), kind)
        client_context = _client_context(given.get("ClientContext")) if synchronous else None
        name = given.get("DurableExecutionName")
        if name is not None and not function.durable:
            raise InvalidParameterValue(
                "DurableExecutionName is for durable functions, which this function is not."
            )
        if function.durable and synchronous:
            _check_length(function)
        if kind == "DryRun":
            return {"StatusCode": 204, "ExecutedVersion": function.version}
        if function.durable:
            run = self._start(function, payload, name, given.get("TenantId"), client_context)
            answer = {"DurableExecutionArn": run.arn, "ExecutedVersion": function.version}
            if not synchronous:
                return {"StatusCode": 202} | answer
            answer |= await self._outcome_of(run)
            invocations = run.invocations
        else:
            plain = PlainInvocation(
                self._workspace, function, payload, given.get("TenantId"), client_context
            )
            request_id = invoke_plain(self._executor, plain)
            if not synchronous:
                self._see_through(plain, request_id)
                return {"StatusCode": 202, "RequestId": request_id}
            answer = {"ExecutedVersion": function.version}
            answer |= _answer(await plain.outcome, request_id)
            invocations = [plain.invocation] if plain.invocation is not None else []
        if given.get("LogType") == "Tail":
            answer["LogResult"] = _log(invocations, function)
        if invocations:
            answer["RequestId"] = invocations[0].request_id
        return {"StatusCode": 200} | answer

    def _start(
        self,
        function: Function,
        payload: str,
        name: str | None,
        tenant_id: str | None,
        client_context: str | None,
    ) -> Run:
        run = self._executor.starter.start(
            self._workspace,
            function.name,
            payload,
            name or self._new_id(),
            skip_time=self._skip_time,
            tenant_id=tenant_id,
            client_context=client_context,
            plan=self._plan,
        )
        run.family.answer_grace = _ANSWER_GRACE_SECONDS
        return run

    async def _outcome_of(self, run: Run) -> Json:
        executor = self._executor
        with executor.timekeeper.awaiting_end(run.family):
            ended = await until(executor, run, lambda: run.settled, _SYNCHRONOUS_SECONDS)
        request_id = run.invocations[-1].request_id if run.invocations else ""
        if not ended:
            return _answer(causes.timed_out(request_id, _SYNCHRONOUS_SECONDS, ()), request_id)
        root = run.execution.root
        if run.execution.status is ExecutionStatus.SUCCEEDED:
            return _answer(root.result or "null", request_id)
        return _answer(root.error or ErrorObject(), request_id)

    def _see_through(self, event: PlainInvocation, request_id: str) -> None:
        """Retry an event that nobody waits for, as long as the plain function fails."""
        attempts = asyncio.get_running_loop().create_task(self._attempts(event, request_id))
        self._events.add(attempts)
        attempts.add_done_callback(self._events.discard)

    async def _attempts(self, attempt: PlainInvocation, request_id: str) -> None:
        # An error says that there are no workers, or that the runner is closed, and there is nobody
        # who could be told.
        with suppress(RunnerError):
            for seconds in _EVENT_RETRIES:
                if isinstance(await attempt.outcome, str):
                    return
                # A plain function has no clock of its own, so this takes real seconds.
                await asyncio.sleep(0 if self._skip_time else seconds)
                self._executor.workspace(self._workspace.id)
                attempt = attempt.again()
                invoke_plain(self._executor, attempt, request_id)

    # -- functions -------------------------------------------------------------------------

    async def get_function(self, given: Json) -> Json:
        configuration = await self.get_function_configuration(given)
        return {"Configuration": configuration, "Code": {}, "Tags": {}}

    async def get_function_configuration(self, given: Json) -> Json:
        return _configuration(find_function(self._workspace, given))

    async def list_functions(self, given: Json) -> Json:
        bare = {
            name.partition(":")[0]: function
            for name, function in sorted(self._workspace.functions.items(), reverse=True)
            if name != ANY_FUNCTION
        }
        names = sorted(bare)
        first = bisect_right(names, given.get("Marker", ""))
        end = first + min(given.get("MaxItems", _LIST_ITEMS), _LIST_ITEMS)
        return {
            "Functions": [_configuration(bare[name]) for name in names[first:end]],
            "NextMarker": names[end - 1] if end < len(names) else None,
        }


def find_function(workspace: Workspace, given: Json) -> Function:
    """Return the function that a request names.

    Raises:
        ResourceNotFound: The function is not in the workspace.
        InvalidParameterValue: The name and `Qualifier` contradict each other.
    """
    region, account, name, qualifier = parse_function_name(given["FunctionName"])
    asked = given.get("Qualifier", qualifier)
    if qualifier not in (None, asked):
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    place = workspace.place
    if region not in (None, place.region):
        raise ResourceNotFound(
            f"Functions from '{region}' are not reachable in this region ('{place.region}')"
        )
    if account not in (None, place.account):
        raise ResourceNotFound(f"Function not found: {place._replace(account=account).arn(name)}")
    return workspace.find(f"{name}:{asked}" if asked else name)


def invoke_plain(executor: Executor, invocation: PlainInvocation, request_id: str = "") -> str:
    """Invoke a plain function from outside; return the id of the request.

    Args:
        executor: Leases the invocation to a worker.
        invocation: The invocation, whose `outcome` can be awaited.
        request_id: The id of the first attempt, where this is a further attempt.
    """
    request_id = executor.leases.submit(invocation, invocation.function, "", request_id)
    executor.pool.dispatch()
    if executor.pool.trouble:
        invocation.workers_unavailable(executor.pool.trouble)
    return request_id


def _check_length(function: Function) -> None:
    seconds = function.execution_timeout_seconds
    # The longest time-out is the default, which is not a reason to refuse a short execution.
    if _SYNCHRONOUS_SECONDS < seconds < limits.DURATION_SECONDS:
        raise InvalidParameterValue(
            "You cannot synchronously invoke a durable function with an executionTimeout greater "
            "than 15 minutes."
        )


def _payload(body: bytes, kind: str) -> str:
    most = _EVENT_BYTES if kind == "Event" else limits.REQUEST_BYTES
    if len(body) > most:
        raise Refusal(
            "RequestTooLargeException",
            f"{len(body)} byte payload is too large for the {kind} invocation type "
            f"(limit {most} bytes)",
            413,
        )
    try:
        text = body.decode() or "{}"
        json_text.check(text)
    except (ValueError, RecursionError) as error:
        raise not_readable(f"Could not parse request body into json: {error}") from None
    return text


def _client_context(given: str | None) -> str | None:
    if given is None:
        return None
    if len(given) > _CLIENT_CONTEXT_BYTES:
        raise not_readable(
            f"Client context must be no more than {_CLIENT_CONTEXT_BYTES} bytes when "
            f"base64-encoded, was {len(given)}."
        )
    try:
        text = base64.b64decode(given, validate=True).decode()
        if isinstance(json.loads(text), dict):
            return text
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise not_readable("Client context must be a valid Base64-encoded JSON object.")


def _answer(outcome: str | ErrorObject, request_id: str) -> Json:
    """Return what a caller who waited gets; the call succeeds even where the function failed."""
    if isinstance(outcome, str) and limits.size(outcome) > limits.REQUEST_BYTES:
        outcome = ErrorObject(
            "Response payload size exceeded maximum allowed payload size "
            f"({limits.REQUEST_BYTES} bytes).",
            "Function.ResponseSizeTooLarge",
        )
    if isinstance(outcome, str):
        return {"Payload": outcome.encode()}
    error = shapes.ERROR.to_json(outcome)
    # The sandbox's own errors have the request's id in the message, and nothing but message and
    # type.
    if (outcome.message or "").startswith("RequestId: "):
        error = shapes.ERROR.to_json(ErrorObject(outcome.message, outcome.type))
    elif request_id:
        error["RequestId"] = request_id
    payload = {name[0].lower() + name[1:]: value for name, value in error.items()}
    return {"FunctionError": "Unhandled", "Payload": json.dumps(payload).encode()}


def _log(invocations: Sequence[InvocationState], function: Function) -> str:
    """Return the end of what the invocations wrote, with the lines that Lambda puts around the
    output of each."""
    text = "".join(_log_of(each, function) for each in invocations)
    return base64.b64encode(text.encode(errors="replace")[-_LOG_BYTES:]).decode()


def _log_of(invocation: InvocationState, function: Function) -> str:
    request_id = invocation.request_id
    duration = (invocation.end_ms or invocation.start_ms) - invocation.start_ms
    return (
        f"START RequestId: {request_id} Version: {function.version}\n"
        f"{''.join(map(_line, invocation.output))}"
        f"END RequestId: {request_id}\n"
        f"REPORT RequestId: {request_id}\tDuration: {duration:.2f} ms\t"
        f"Billed Duration: {duration} ms\tMemory Size: {function.memory_mb} MB\n"
    )


def _line(line: OutputLine) -> str:
    return f"{line.text}\n"


def _configuration(function: Function) -> Json:
    shape = {
        "FunctionName": function.name.partition(":")[0],
        "FunctionArn": function.arn,
        "Version": function.version,
        "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "Handler": _handler(function),
        "Timeout": math.ceil(function.timeout_seconds),
        "MemorySize": function.memory_mb,
        "PackageType": "Zip",
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }
    if function.environment:
        shape["Environment"] = {"Variables": function.environment}
    if function.durable:
        shape["DurableConfig"] = {
            "ExecutionTimeout": function.execution_timeout_seconds,
            "RetentionPeriodInDays": function.retention_days or None,
        }
    if function.log_format:
        shape["LoggingConfig"] = {"LogFormat": function.log_format}
    return shape


def _handler(function: Function) -> str:
    reference = getattr(function.code, "reference", None)
    if reference is None or not reference.module:
        return function.name.partition(":")[0]
    return f"{reference.module}.{reference.qualname}"
