"""The event that Lambda sends to a durable function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...core import shapes
from ...rpc import codec
from ...rpc.v1 import model_pb2, worker_pb2


def lambda_event(
    invocation: worker_pb2.Invocation, operations: Iterable[model_pb2.Operation], next_marker: str
) -> dict[str, Any]:
    """Make the event of an invocation.

    Args:
        invocation: The invocation.
        operations: The first page of the execution's state.
        next_marker: The marker of the next page, or "" where there is no further page.
    """
    return {
        "DurableExecutionArn": invocation.execution_arn,
        "CheckpointToken": invocation.checkpoint_token,
        "InitialExecutionState": {
            "Operations": [
                # The event has its times in milliseconds.
                shapes.OPERATION.to_json(codec.operation_from_proto(each), lambda time: time)
                for each in operations
            ],
            "NextMarker": next_marker,
        },
        "UpdatedOperationIds": list(invocation.updated_operation_ids),
    }
