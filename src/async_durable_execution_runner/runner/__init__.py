"""The runners, and the names that the earlier package had in its module `runner`.

Each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.model import Isolation
    from ..errors import OperationNotFound
    from ..results.operations import (
        CallbackOperation,
        ContextOperation,
        ExecutionOperation,
        InvokeOperation,
        Operation,
        StepOperation,
        WaitOperation,
    )
    from ..results.result import DurableFunctionTestResult, Event, Invocation
    from ..results.statuses import InvocationStatus
    from ..web.server import WebRunner, WebRunnerConfig, WebServiceConfig
    from .blocking import DurableFunctionTestRunner
    from .handles import ExecutionHandle
    from .mocks import MockFunction

__all__ = [
    "CallbackOperation",
    "ContextOperation",
    "DurableFunctionTestResult",
    "DurableFunctionTestRunner",
    "Event",
    "ExecutionHandle",
    "ExecutionOperation",
    "Invocation",
    "InvocationStatus",
    "InvokeOperation",
    "Isolation",
    "MockFunction",
    "Operation",
    "OperationNotFound",
    "StepOperation",
    "WaitOperation",
    "WebRunner",
    "WebRunnerConfig",
    "WebServiceConfig",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # All of them are public names of the package, which knows where they are.
    return getattr(import_module(__name__.partition(".")[0]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
