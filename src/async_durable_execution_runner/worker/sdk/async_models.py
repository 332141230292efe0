"""The SDK's model classes, found where its public protocol names them.

The SDK checks an open callback with `isinstance`, so operations must be of its own class.
That class is not exported and has moved between releases, but it is what the annotations
of the exported `DurableServiceClient` lead to.
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
