"""The operations of Lambda that a workspace offers over HTTP, and who answers each.

This module is imported when somebody asks for the API, as it imports botocore, its model and an
HTTP server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..core.faults import Plan
from ..gateway.app import Parameters, Responder
from ..gateway.refusals import Refusal
from ..gateway.server import Listener, listen
from .executor import Executor
from .lambda_executions import LambdaExecutions
from .lambda_functions import LambdaFunctions
from .runs import Workspace

__all__ = ["Listener", "listen", "operations"]

#: Seconds that a request waits for the functions. boto3 gives up after sixty, and does not say why;
#: when it is refused, it asks again, and shows the reason in the end.
_PATIENCE = 30.0


def operations(
    executor: Executor,
    workspace: Workspace,
    new_id: Callable[[], str],
    skip_time: bool,
    plan: Plan | None,
    functions_follow: bool = False,
) -> dict[str, Responder]:
    """Return the coroutine function for each operation, by its name in the service model.

    Args:
        new_id: Makes names for executions that are started without a name.
        skip_time: Whether executions that are started by an `Invoke` skip time.
        plan: The faults that strike the executions that are started by an `Invoke`.
        functions_follow: Whether each operation waits until the functions are known.
    """
    functions = LambdaFunctions(executor, workspace, new_id, skip_time, plan)
    executions = LambdaExecutions(executor, workspace)
    found: dict[str, Responder] = {
        "Invoke": functions.invoke,
        "GetFunction": functions.get_function,
        "GetFunctionConfiguration": functions.get_function_configuration,
        "ListFunctions": functions.list_functions,
        "GetDurableExecution": executions.get,
        "GetDurableExecutionHistory": executions.get_history,
        "ListDurableExecutionsByFunction": executions.list_by_function,
        "StopDurableExecution": executions.stop,
        "CheckpointDurableExecution": executions.checkpoint,
        "GetDurableExecutionState": executions.get_state,
        "SendDurableExecutionCallbackSuccess": executions.send_callback_success,
        "SendDurableExecutionCallbackFailure": executions.send_callback_failure,
        "SendDurableExecutionCallbackHeartbeat": executions.send_callback_heartbeat,
    }
    if not functions_follow:
        return found
    return {name: _when_known(workspace, responder) for name, responder in found.items()}


def _when_known(workspace: Workspace, responder: Responder) -> Responder:
    async def respond(given: Parameters) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_PATIENCE):
                await workspace.functions_known.wait()
        except TimeoutError:
            raise Refusal(
                "ServiceException",
                f"The handlers of the functions are still being imported, after {_PATIENCE:g} s: "
                "ask again. The server prints how far it is.",
                500,
            ) from None
        return await responder(given)

    return respond
