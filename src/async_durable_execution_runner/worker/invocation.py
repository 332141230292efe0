"""One invocation in its worker: load the handler, call it, put the outcome into a message.

No event loop may run in the calling thread, since handlers run their own. `SystemExit` and the
like pass through: whether they end the process depends on whether it is the worker's own.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from .. import errors, ledger
from ..core.text import utf8
from ..rpc import codec
from ..rpc.v1 import model_pb2, worker_pb2
from . import covered, debugging, environment, json_log, loading, log_records, setup
from .connection import Connection
from .lambda_context import LambdaContext, log_group_name, log_stream_name
from .misdeeds import commit
from .recorder import EffectRecorder
from .sdk.choice import Client, Handler

_PACKAGE = str(Path(__file__).parent)
_NO_CODE = worker_pb2.FunctionCode()
_OF_IMPORTS = ("<frozen importlib", importlib.__file__)


@dataclass(slots=True)
class _Bound:
    """A handler with its client, which keeps an event loop and a stream to the coordinator."""

    handler: Handler
    callable: Handler
    client: Client | None
    #: The id of the function that was invoked last.
    served: str = ""

    def may_serve(self, function: worker_pb2.FunctionConfig) -> bool:
        """Whether nothing that another function has left behind would go on in an invocation."""
        served = self.served in ("", function.function_id)
        return served or self.client is None or self.client.at_rest()


class Functions:
    """The functions that a worker has been given, and their handlers once they are loaded.

    Args:
        connection: The coordinator's address and token.
        inline: The handlers by inline key, for a worker on a thread of the test process.
        loaded: Called whenever a handler has been loaded, and its module imported.
    """

    def __init__(
        self,
        connection: Connection,
        inline: Mapping[str, Any] | None = None,
        loaded: Callable[[], object] = lambda: None,
    ) -> None:
        self._connection = connection
        self._inline = inline
        self._loaded = loaded
        self._code: dict[str, worker_pb2.FunctionCode] = {}
        #: The ids of the functions whose modules are the client's.
        self._same: set[str] = set()
        #: By function id. Functions that have the same handler share what is bound to it.
        self._handlers: dict[str, _Bound] = {}
        self._environments: dict[str, dict[str, str | None]] = {}
        self._environment_id = uuid4().hex
        #: The working folder where a function brings none; "" for an inline worker, which has none.
        self._folder = os.getcwd() if inline is None else ""
        self._environment: dict[str, str | None] | None = None
        self._in_environment = ExitStack()
        self._recorder = EffectRecorder(connection)
        self._set_up: set[bytes] = set()
        #: Holds what setups have begun for the rest of the process's life: it is never closed.
        self._setups = ExitStack()

    def invoke(self, invocation: worker_pb2.Invocation) -> worker_pb2.InvocationResult:
        """Run the handler; the result has either `output` or `error`."""
        received = time.monotonic()
        if invocation.HasField("misdeed"):
            commit(invocation.misdeed)
        function = invocation.function
        if invocation.HasField("code"):
            self._code[function.function_id] = invocation.code
        variables = self._variables(function)
        result = worker_pb2.InvocationResult(request_id=invocation.request_id)
        recorder = self._recorder.of(invocation, partial(self._locate, function))
        with (
            self._environment_of(variables),
            ledger.recording(recorder, inline=self._inline is not None),
            json_log.formatting(_ids(invocation) if function.log_format == "JSON" else None),
            # What runs inline logs by the levels of the test's process.
            log_records.levels(invocation.log_levels if self._inline is None else {}),
            debugging.offered(self._connection, invocation, inline=self._inline is not None),
        ):
            try:
                self._begin_coverage(function, invocation.coverage_context)
                self._enter_folder(function)
                compared = invocation.other_code or function.function_id in self._same
                code = self._code.get(function.function_id, _NO_CODE)
                if not compared:
                    loading.check_same(code.setup)
                self._run_setup(function)
                if not compared:
                    loading.check_same(code)
                    self._same.add(function.function_id)
                handler, client = self._handler(function)
            except Exception as error:
                result.error.CopyFrom(_load_error(error, self._handler_name(function)))
                return result
            context = LambdaContext(
                function,
                invocation.request_id,
                log_stream=variables["AWS_LAMBDA_LOG_STREAM_NAME"] or "",
                tenant_id=invocation.tenant_id if invocation.HasField("tenant_id") else None,
                deadline=received + function.timeout_seconds,
                client_context=(
                    invocation.client_context if invocation.HasField("client_context") else None
                ),
            )
            value = None
            try:
                event = _event(invocation) if client is None else client.event(invocation)
                with nullcontext() if client is None else client.watching():
                    value = handler(event, context)
                    if inspect.iscoroutine(value):
                        value = asyncio.run(value)
            except Exception as error:
                result.error.CopyFrom(error_object(error))
                return result
            finally:
                if client is not None:
                    found = client.divergences(_succeeded(value))
                    result.divergences.extend(map(codec.divergence_to_proto, found))
        try:
            result.output = _dump(value)
        except Exception as error:
            result.error.CopyFrom(
                model_pb2.ErrorObject(
                    type="Runtime.MarshalError", message=f"Unable to marshal response: {error}"
                )
            )
        return result

    def abandon(self) -> None:
        """Close the connections of the handlers, and stop what they have left on their loops."""
        for bound in self._handlers.values():
            if bound.client is not None:
                bound.client.close()
        self._recorder.close()

    def _locate(
        self, function: worker_pb2.FunctionConfig, request: worker_pb2.RecordEffectRequest
    ) -> None:
        bound = self._handlers.get(function.function_id)
        if bound is not None and bound.client is not None:
            bound.client.locate(request)
        elif function.durable:
            # The function's module is being imported.
            request.outside_step = True

    def _environment_of(self, variables: dict[str, str | None]) -> AbstractContextManager[None]:
        """Set `variables` around an invocation.

        A worker process keeps the variables until it serves another function.
        """
        if self._inline is not None:
            return environment.applied(variables)
        if variables is not self._environment:
            self._leave_environment()
            self._in_environment.enter_context(environment.applied(variables))
            self._in_environment.enter_context(log_records.root_level(os.environ))
            self._environment = variables
        return nullcontext()

    def _leave_environment(self) -> None:
        self._environment = None
        self._in_environment.close()

    def _begin_coverage(self, function: worker_pb2.FunctionConfig, context: str) -> None:
        code = self._code.get(function.function_id)
        if self._inline is None and code is not None and code.surroundings.HasField("coverage"):
            covered.begin(code.surroundings.coverage, context)

    def _enter_folder(self, function: worker_pb2.FunctionConfig) -> None:
        """Change to the working folder that the client had, or to the worker's own, for each
        invocation anew."""
        code = self._code.get(function.function_id)
        brought = b"" if code is None else code.surroundings.folder
        folder = os.fsdecode(brought) or self._folder
        if not folder:
            return
        try:
            os.chdir(folder)
        except OSError as error:
            raise errors.HandlerNotLoadable(
                f"The working folder {folder}, in which the runner was opened, cannot be entered "
                f"({error.strerror}): keep it until the runner is closed."
            ) from None

    def _run_setup(self, function: worker_pb2.FunctionConfig) -> None:
        """Run the setup that came with the function, unless this process has."""
        code = self._code.get(function.function_id)
        if code is None or not code.HasField("setup"):
            return
        key = code.setup.SerializeToString(deterministic=True)
        if key not in self._set_up:
            setup.enter(code.setup, self._setups)
            self._set_up.add(key)

    def _variables(self, function: worker_pb2.FunctionConfig) -> dict[str, str | None]:
        """Return the function's environment, which stays the same for the worker's life."""
        known = self._environments.get(function.function_id)
        if known is None:
            # The new environment must not take anything from another function's.
            self._leave_environment()
            day = time.strftime("%Y/%m/%d", time.gmtime())
            code = self._code.get(function.function_id)
            known = self._environments[function.function_id] = environment.variables(
                function,
                self._handler_name(function),
                log_group_name(function),
                log_stream_name(function, day, self._environment_id),
                None if code is None else code.surroundings,
            )
        return known

    def _handler(self, function: worker_pb2.FunctionConfig) -> tuple[Handler, Client | None]:
        bound = self._handlers.get(function.function_id)
        if bound is None:
            bound = self._bind(function, self._load(function))
            self._loaded()
        elif not bound.may_serve(function):
            bound = self._bind(function, bound.handler)
        self._handlers[function.function_id] = bound
        bound.served = function.function_id
        return bound.callable, bound.client

    def _bind(self, function: worker_pb2.FunctionConfig, handler: Handler) -> _Bound:
        """Bind a client to the handler, unless that was done for another function."""
        for bound in self._handlers.values():
            same = bound.handler is handler and (bound.client is not None) == function.durable
            if same and bound.may_serve(function):
                return bound
        if not function.durable:
            return _Bound(handler, handler, None)
        sdk = loading.sdk_of(handler)
        if sdk is None:
            raise errors.HandlerNotLoadable(
                f"{loading.describe_name(handler)} is not a durable function where the worker "
                "imports it."
            )
        client = sdk.client(self._connection)
        return _Bound(handler, loading.bind(handler, client), client)

    def _load(self, function: worker_pb2.FunctionConfig) -> Handler:
        code = self._code.get(function.function_id)
        if code is None:
            raise errors.HandlerNotLoadable(f"The worker was never given {function.name}'s code.")
        if not code.HasField("inline_key"):
            return loading.load(code)
        if self._inline is None or code.inline_key not in self._inline:
            raise errors.HandlerNotLoadable(f"{function.name} is not registered in this process.")
        return self._inline[code.inline_key]  # type: ignore[no-any-return]

    def _handler_name(self, function: worker_pb2.FunctionConfig) -> str:
        code = self._code.get(function.function_id)
        if code is None or not code.HasField("reference"):
            return function.name
        return f"{code.reference.module}.{code.reference.qualname}"


def _ids(invocation: worker_pb2.Invocation) -> dict[str, str]:
    """Return the ids that every JSON log record of the invocation has."""
    ids = {
        "requestId": invocation.request_id,
        "tenantId": invocation.tenant_id,
        "executionArn": invocation.execution_arn,
    }
    return {name: value for name, value in ids.items() if value}


def _event(invocation: worker_pb2.Invocation) -> Any:
    return json.loads(invocation.payload) if invocation.payload else {}


def _succeeded(value: Any) -> bool:
    return isinstance(value, dict) and value.get("Status") == "SUCCEEDED"


def _dump(value: Any) -> str:
    # Lambda encodes so too. A value that is not JSON (NaN) is refused here, not by its reader.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False)
    return text


def error_object(error: BaseException) -> model_pb2.ErrorObject:
    """Return an exception of the handler in the form in which Lambda reports it."""
    return model_pb2.ErrorObject(
        type=type(error).__name__,
        message=utf8(_message(error)),
        stack_trace=[utf8(line) for line in _stack(error)],
    )


def _load_error(error: Exception, handler: str) -> model_pb2.ErrorObject:
    match error:
        case errors.HandlerNotLoadable():
            kind, message = "Runtime.HandlerNotFound", str(error)
        case errors.SetupFailed():
            kind, message = "Runtime.ImportModuleError", str(error)
        case SyntaxError():
            kind = "Runtime.UserCodeSyntaxError"
            message = f"Syntax error in module '{handler.rpartition('.')[0]}': {error}"
        case ImportError():
            kind = "Runtime.ImportModuleError"
            message = f"Unable to import module '{handler.rpartition('.')[0]}': {error}"
        case _:
            kind = "Runtime.ImportModuleError"
            message = f"Unable to load '{handler}': {type(error).__name__}: {_message(error)}"
    return model_pb2.ErrorObject(
        type=kind, message=utf8(message), stack_trace=[utf8(line) for line in _stack(error)]
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<its __str__ raised {type(broken).__name__}>"


def _stack(error: BaseException) -> list[str]:
    """Return the formatted frames of the handler's code, without the runner's above them, and
    without those of the import system."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_OF_IMPORTS)
    ]
    while frames and frames[0].filename.startswith(_PACKAGE + os.sep):
        del frames[0]
    return traceback.format_list(frames)
