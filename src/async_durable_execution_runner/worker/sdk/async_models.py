"""The SDK's model classes, found where its public protocol names them.

The SDK checks an open callback with `isinstance`, so operations must be of the SDK's own class.
The SDK does not export that class and has moved it between releases, but the annotations of
`DurableServiceClient`, which is exported, lead to it.
"""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

from async_durable_execution import DurableServiceClient

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
