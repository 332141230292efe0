"""How a function is told to the coordinator."""

from __future__ import annotations

import hashlib
import json

from ..rpc import codec
from ..rpc.v1 import control_pb2 as pb
from ..rpc.v1 import worker_pb2
from .settings import DEFAULT_MEMORY_MB, FunctionSettings


def registration(
    name: str, code: worker_pb2.FunctionCode | str, durable: bool, settings: FunctionSettings
) -> pb.RegisterFunctionRequest:
    """What registers a function, but for the workspace's id.

    Args:
        name: The function's name.
        code: What `loading.describe` made, or an inline function's key.
        durable: Whether the function is durable.
        settings: How the function is configured.
    """
    config = worker_pb2.FunctionConfig(
        name=name,
        durable=durable,
        timeout_seconds=settings.invocation_timeout,
        memory_mb=settings.memory or DEFAULT_MEMORY_MB,
        enforce_memory=settings.memory is not None,
        environment=settings.env,
        log_format=settings.log_format or "",
    )
    return pb.RegisterFunctionRequest(
        config=config,
        code=worker_pb2.FunctionCode(inline_key=code) if isinstance(code, str) else code,
        isolation=codec.isolation_to_proto(settings.isolation),
        execution_timeout_seconds=settings.execution_timeout,
        retention_days=settings.retention_days or 0,
        process_group=_process_group(name, code, settings),
    )


def _process_group(
    name: str, code: worker_pb2.FunctionCode | str, settings: FunctionSettings
) -> str:
    """Which functions share warm workers: those that find the same around them, as modules may
    look at it when they are imported."""
    if settings.own_processes:
        return f"/{name.partition(':')[0]}"
    if isinstance(code, str):
        return ""
    around = code.surroundings
    found = {**around.variables, **dict.fromkeys(around.unset), **settings.env}
    # pytest's own name the test and the process: no two tests would be alike.
    found = {name: value for name, value in found.items() if not name.startswith("PYTEST_")}
    setup = code.setup.SerializeToString(deterministic=True)
    text = json.dumps([sorted(found.items()), around.folder.hex(), setup.hex()])
    return hashlib.sha256(text.encode()).hexdigest()
