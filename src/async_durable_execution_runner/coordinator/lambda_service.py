"""The operations of Lambda that a workspace offers over HTTP, and who answers each.

This module is imported when somebody asks for the API, as it imports botocore, its model and an
HTTP server.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.faults import Plan
from ..gateway.app import Responder
from ..gateway.server import Listener, listen
from .executor import Executor
from .lambda_executions import LambdaExecutions
from .lambda_functions import LambdaFunctions
from .runs import Workspace

__all__ = ["Listener", "listen", "operations"]


def operations(
    executor: Executor,
    workspace: Workspace,
    new_id: Callable[[], str],
    skip_time: bool,
    plan: Plan | None,
) -> dict[str, Responder]:
    """Return the coroutine function for each operation, by its name in the service model.

    Args:
        new_id: Makes names for executions that are started without a name.
        skip_time: Whether executions that are started by an `Invoke` skip time.
        plan: The faults that strike the executions that are started by an `Invoke`.
    """
    functions = LambdaFunctions(executor, workspace, new_id, skip_time, plan)
    executions = LambdaExecutions(executor, workspace)
    return {
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
