"""What Lambda sends to a durable function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...core import shapes
from ...rpc import codec
from ...rpc.v1 import model_pb2, worker_pb2


def lambda_event(
    invocation: worker_pb2.Invocation, operations: Iterable[model_pb2.Operation], next_marker: str
) -> dict[str, Any]:
    """The event of `invocation`, with `operations` as its first page of state."""
    return {
        "DurableExecutionArn": invocation.execution_arn,
        "CheckpointToken": invocation.checkpoint_token,
        "InitialExecutionState": {
            "Operations": [
                # Its times are in milliseconds.
                shapes.OPERATION.to_json(codec.operation_from_proto(each), lambda time: time)
                for each in operations
            ],
            "NextMarker": next_marker,
        },
        "UpdatedOperationIds": list(invocation.updated_operation_ids),
    }
