"""Run AWS Lambda durable functions in a pool of worker processes.

The public names. Each is imported when it is first used: coordinator, worker hosts and
workers are of this package too, and must not pay for what only a test needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import ledger
    from .client.control import RunnerStatus
    from .core.divergence import Divergence, DivergenceKind
    from .core.fault_places import CrashPoint
    from .core.faults import Fault
    from .core.model import Isolation
    from .errors import (
        CallbackTimeout,
        CoordinatorUnavailable,
        DurableExecutionAlreadyStarted,
        FaultNeverFired,
        HandlerNotLoadable,
        InvalidCheckpointToken,
        InvalidConfiguration,
        InvalidParameterValue,
        LambdaCallFailed,
        NonDeterministicHandler,
        NonDeterministicWarning,
        NoResult,
        NotStarted,
        OperationNotFound,
        ResourceNotFound,
        RunnerError,
        ServiceError,
        ServiceFailure,
        SetupFailed,
        TooManyRequests,
        Unauthenticated,
        VersionMismatch,
        WorkersUnavailable,
    )
    from .ray_hosts import RayWorkerHosts
    from .results.ledger import Effect, Ledger
    from .results.operations import (
        CallbackOperation,
        ContextOperation,
        ExecutionOperation,
        InvokeOperation,
        Operation,
        StepOperation,
        WaitOperation,
    )
    from .results.records import FaultFired
    from .results.result import DurableFunctionTestResult, Event, Invocation
    from .results.statuses import InvocationStatus
    from .runner.aio import AsyncDurableFunctionTestRunner
    from .runner.blocking import DurableFunctionTestRunner
    from .runner.cloud import AsyncDurableFunctionCloudTestRunner, DurableFunctionCloudTestRunner
    from .runner.explore import CrashReport, CrashRun
    from .runner.handles import AsyncExecutionHandle, ExecutionHandle
    from .runner.mocks import MockFunction
    from .runner.sdk_surface import DurableFunctionLocalTestRunner, create_local_runner
    from .web.server import WebRunner, WebRunnerConfig, WebServiceConfig

    __version__: str

_MODULES = {
    "client.control": ("RunnerStatus",),
    "core.divergence": ("Divergence", "DivergenceKind"),
    "core.fault_places": ("CrashPoint",),
    "core.faults": ("Fault",),
    "core.model": ("Isolation",),
    "errors": (
        "CallbackTimeout",
        "CoordinatorUnavailable",
        "DurableExecutionAlreadyStarted",
        "FaultNeverFired",
        "HandlerNotLoadable",
        "InvalidCheckpointToken",
        "InvalidConfiguration",
        "InvalidParameterValue",
        "NonDeterministicHandler",
        "NonDeterministicWarning",
        "LambdaCallFailed",
        "NoResult",
        "NotStarted",
        "OperationNotFound",
        "ResourceNotFound",
        "RunnerError",
        "ServiceError",
        "ServiceFailure",
        "SetupFailed",
        "TooManyRequests",
        "Unauthenticated",
        "VersionMismatch",
        "WorkersUnavailable",
    ),
    "ray_hosts": ("RayWorkerHosts",),
    "results.ledger": ("Effect", "Ledger"),
    "results.operations": (
        "CallbackOperation",
        "ContextOperation",
        "ExecutionOperation",
        "InvokeOperation",
        "Operation",
        "StepOperation",
        "WaitOperation",
    ),
    "results.records": ("FaultFired",),
    "results.result": ("DurableFunctionTestResult", "Event", "Invocation"),
    "results.statuses": ("InvocationStatus",),
    "runner.aio": ("AsyncDurableFunctionTestRunner",),
    "runner.blocking": ("DurableFunctionTestRunner",),
    "runner.cloud": ("AsyncDurableFunctionCloudTestRunner", "DurableFunctionCloudTestRunner"),
    "runner.explore": ("CrashReport", "CrashRun"),
    "runner.handles": ("AsyncExecutionHandle", "ExecutionHandle"),
    "runner.mocks": ("MockFunction",),
    "runner.sdk_surface": ("DurableFunctionLocalTestRunner", "create_local_runner"),
    "web.server": ("WebRunner", "WebRunnerConfig", "WebServiceConfig"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AsyncDurableFunctionCloudTestRunner",
    "AsyncDurableFunctionTestRunner",
    "AsyncExecutionHandle",
    "CallbackOperation",
    "CallbackTimeout",
    "ContextOperation",
    "CoordinatorUnavailable",
    "CrashPoint",
    "CrashReport",
    "CrashRun",
    "Divergence",
    "DivergenceKind",
    "DurableExecutionAlreadyStarted",
    "DurableFunctionCloudTestRunner",
    "DurableFunctionLocalTestRunner",
    "DurableFunctionTestResult",
    "DurableFunctionTestRunner",
    "Effect",
    "Event",
    "ExecutionHandle",
    "ExecutionOperation",
    "Fault",
    "FaultFired",
    "FaultNeverFired",
    "HandlerNotLoadable",
    "InvalidCheckpointToken",
    "InvalidConfiguration",
    "InvalidParameterValue",
    "Invocation",
    "InvocationStatus",
    "InvokeOperation",
    "Isolation",
    "LambdaCallFailed",
    "Ledger",
    "MockFunction",
    "NoResult",
    "NonDeterministicHandler",
    "NonDeterministicWarning",
    "NotStarted",
    "Operation",
    "OperationNotFound",
    "RayWorkerHosts",
    "ResourceNotFound",
    "RunnerError",
    "RunnerStatus",
    "ServiceError",
    "ServiceFailure",
    "SetupFailed",
    "StepOperation",
    "TooManyRequests",
    "Unauthenticated",
    "VersionMismatch",
    "WaitOperation",
    "WebRunner",
    "WebRunnerConfig",
    "WebServiceConfig",
    "WorkersUnavailable",
    "__version__",
    "create_local_runner",
    "ledger",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("async-durable-execution-runner")
    if name == "ledger":
        return import_module(".ledger", __name__)
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
