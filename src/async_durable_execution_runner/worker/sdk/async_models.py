"""The SDK's classes that it does not export, found from those that it does.

The SDK checks an open callback with `isinstance`, so operations must be of the SDK's own class, and
it treats a refused checkpoint by its own error class, which reads the service's answer as that
release reads it. It has moved both between releases. The annotations of `DurableServiceClient` lead
to the model, and the module of `InvocationError` holds the errors.
"""

from __future__ import annotations

import sys
from typing import Any, get_args, get_type_hints

from async_durable_execution import DurableServiceClient, InvocationError

_errors = vars(sys.modules[InvocationError.__module__])
CheckpointError: Any = _errors["CheckpointError"]
GetExecutionStateError: Any = _errors["GetExecutionStateError"]

_CheckpointOutput = get_type_hints(DurableServiceClient.checkpoint)["return"]
_ExecutionState = get_type_hints(_CheckpointOutput)["new_execution_state"]

Operation: Any = get_args(get_type_hints(_ExecutionState)["operations"])[0]
_FIELDS = get_type_hints(Operation)


def _details(field: str) -> Any:
    return next(kind for kind in get_args(_FIELDS[field]) if kind is not type(None))


ExecutionDetails = _details("execution_details")
ContextDetails = _details("context_details")
StepDetails = _details("step_details")
WaitDetails = _details("wait_details")
CallbackDetails = _details("callback_details")
ChainedInvokeDetails = _details("chained_invoke_details")
