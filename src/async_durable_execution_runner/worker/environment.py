"""This module sets a function's environment variables around its invocations, as Lambda does.

All threads share the process's environment: inline workers count the users of a variable, and
the last user restores the value that the first one found.
"""

from __future__ import annotations

import os
import platform
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..rpc.v1 import worker_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
)
_lock = threading.Lock()
_before: dict[str, tuple[int, str | None]] = {}


def variables(
    function: pb.FunctionConfig, handler: str, log_group: str, log_stream: str
) -> dict[str, str]:
    """Return Lambda's variables for `function`; the function's own variables override them.

    Args:
        function: The function's configuration.
        handler: The handler's name, for `_HANDLER`.
        log_group: The name of the function's log group.
        log_stream: The name of the worker's log stream.
    """
    region = function.arn.split(":")[3] if function.arn.count(":") > 3 else "us-east-1"
    values = {
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python" + ".".join(platform.python_version_tuple()[:2]),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_REGION": region,
        "_HANDLER": handler,
    }
    if function.log_format:
        values["AWS_LAMBDA_LOG_FORMAT"] = function.log_format
    if not has_credentials():
        values["AWS_ACCESS_KEY_ID"] = values["AWS_SECRET_ACCESS_KEY"] = "testing"
    values.update(function.environment)
    return values


def has_credentials() -> bool:
    """Whether this machine has credentials of AWS that no function brought."""
    return any(name in os.environ and name not in _before for name in _CREDENTIALS) or any(
        Path("~/.aws", name).expanduser().exists() for name in ("credentials", "config")
    )


@contextmanager
def applied(values: dict[str, str]) -> Iterator[None]:
    """Set `values` in `os.environ` inside of the block, and restore the earlier values after it.

    Other changes that the handler makes to `os.environ` stay, as on Lambda.
    """
    with _lock:
        for name, value in values.items():
            users, before = _before.get(name, (0, os.environ.get(name)))
            _before[name] = (users + 1, before)
            os.environ[name] = value
    try:
        yield
    finally:
        with _lock:
            for name in values:
                users, before = _before.pop(name)
                if users > 1:
                    _before[name] = (users - 1, before)
                elif before is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = before
