"""The context object that a handler gets as its second argument, as Lambda fills it."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ..rpc.v1 import worker_pb2 as pb
from . import debugging


def log_group_name(function: pb.FunctionConfig) -> str:
    return f"/aws/lambda/{function.name}"


def log_stream_name(function: pb.FunctionConfig, day: str, environment_id: str) -> str:
    """Return a log stream's name in Lambda's form.

    Args:
        function: The function's configuration.
        day: The day on which the worker began, as YYYY/MM/DD.
        environment_id: The id of the worker's environment.
    """
    return f"{day}/[{function.version}]{environment_id}"


class Client:
    """The application that invoked the function, with what it says of itself."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.installation_id = given.get("installation_id")
        self.app_title = given.get("app_title")
        self.app_version_name = given.get("app_version_name")
        self.app_version_code = given.get("app_version_code")
        self.app_package_name = given.get("app_package_name")


class ClientContext:
    """The invoker's data beside the payload, with the attributes that it has on Lambda."""

    def __init__(self, text: str) -> None:
        given = json.loads(text)
        self.custom = given.get("custom")
        self.env = given.get("env")
        self.client = Client(given["client"]) if isinstance(given.get("client"), dict) else None


class LambdaContext:
    """The context of one invocation.

    Args:
        function: The function's configuration.
        request_id: The invocation's id.
        log_stream: The name of the worker's log stream.
        tenant_id: The tenant for whom the function is invoked, if there is one.
        deadline: When the invocation times out, in seconds of `time.monotonic`.
        client_context: What the invoker sent beside the payload, as JSON text.
    """

    def __init__(
        self,
        function: pb.FunctionConfig,
        request_id: str,
        *,
        log_stream: str,
        tenant_id: str | None,
        deadline: float,
        client_context: str | None = None,
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
        self.client_context = None if client_context is None else ClientContext(client_context)
        self.identity: Any = None
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        left = self._deadline + debugging.stood_still() - time.monotonic()
        return max(0, int(left * 1000))

    def log(self, msg: object) -> None:
        sys.stdout.write(f"{msg}\n")

    def __repr__(self) -> str:
        return f"LambdaContext({self.function_name}, {self.aws_request_id})"
