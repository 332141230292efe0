"""This module sets a function's environment variables around its invocations, as Lambda does.

All threads share the process's environment: inline workers count the users of a variable, and
the last user restores the value that the first one found.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..rpc.v1 import worker_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    function: pb.FunctionConfig,
    handler: str,
    log_group: str,
    log_stream: str,
    surroundings: pb.Surroundings | None = None,
) -> dict[str, str | None]:
    """Return Lambda's variables for `function`; the function's own variables override them.

    A variable whose value is None is not set.

    Args:
        function: The function's configuration.
        handler: The handler's name, for `_HANDLER`.
        log_group: The name of the function's log group.
        log_stream: The name of the worker's log stream.
        surroundings: The client's environment, which Lambda's variables override.
    """
    around: dict[str, str | None] = {}
    if surroundings is not None:
        around = {**surroundings.variables, **dict.fromkeys(surroundings.unset)}
    region = function.arn.split(":")[3] if function.arn.count(":") > 3 else "us-east-1"
    values = {
        **around,
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
    if not has_credentials(around):
        values["AWS_ACCESS_KEY_ID"] = values["AWS_SECRET_ACCESS_KEY"] = "testing"
    values.update(function.environment)
    return values


def has_credentials(around: Mapping[str, str | None] = MappingProxyType({})) -> bool:
    """Whether this machine, or `around`, has credentials of AWS that no function brought."""
    own = {name: value for name, value in os.environ.items() if name not in _before}
    found: dict[str, str | None] = {**own, **around}
    home = found.get("HOME") or Path.home()
    return any(found.get(name) is not None for name in _CREDENTIALS) or any(
        Path(home, ".aws", name).exists() for name in ("credentials", "config")
    )


@contextmanager
def applied(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set `values` in `os.environ` inside of the block, and restore the earlier values after it.

    A variable whose value is None is removed. Other changes that the handler makes to
    `os.environ` stay, as on Lambda.
    """
    with _lock:
        for name, value in values.items():
            users, before = _before.get(name, (0, os.environ.get(name)))
            _before[name] = (users + 1, before)
            _set(name, value)
        _tell_c(values)
    try:
        yield
    finally:
        with _lock:
            for name in values:
                users, before = _before.pop(name)
                if users > 1:
                    _before[name] = (users - 1, before)
                else:
                    _set(name, before)
            _tell_c(values)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _tell_c(values: Mapping[str, str | None]) -> None:
    if "TZ" in values:
        time.tzset()
