"""The context object that a handler gets as its second argument, as Lambda fills it."""

from __future__ import annotations

import sys
import time
from typing import Any

from ..rpc.v1 import worker_pb2 as pb


def log_group_name(function: pb.FunctionConfig) -> str:
    return f"/aws/lambda/{function.name}"


def log_stream_name(function: pb.FunctionConfig, day: str, environment_id: str) -> str:
    """Lambda's form; `day` is YYYY/MM/DD, `environment_id` names the worker."""
    return f"{day}/[{function.version}]{environment_id}"


class LambdaContext:
    """`deadline` is on `time.monotonic`'s clock."""

    def __init__(
        self,
        function: pb.FunctionConfig,
        request_id: str,
        *,
        log_stream: str,
        tenant_id: str | None,
        deadline: float,
    ) -> None:
        self.aws_request_id = request_id
        self.function_name = function.name
        self.function_version = function.version
        self.invoked_function_arn = (
            function.arn if function.version == "$LATEST" else f"{function.arn}:{function.version}"
        )
        self.memory_limit_in_mb = str(function.memory_mb)
        self.log_group_name = log_group_name(function)
        self.log_stream_name = log_stream
        self.tenant_id = tenant_id
        self.client_context: Any = None
        self.identity: Any = None
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def log(self, msg: object) -> None:
        sys.stdout.write(f"{msg}\n")

    def __repr__(self) -> str:
        return f"LambdaContext({self.function_name}, {self.aws_request_id})"
