"""Which SDK a durable handler is written with, and what an SDK's adapter has to offer.

Only the adapters, `asynchronous` (with its `async_client`) and `official`, know one SDK from
another. An adapter is imported with the first handler that needs it, which has imported its SDK
already. `elsewhere` is a third adapter, for handlers whose code is not in this process.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from ...core.divergence import Divergence
    from ...rpc.v1 import worker_pb2
    from ..connection import Connection

Handler = Callable[..., Any]

_ADAPTERS = {
    "async_durable_execution": "asynchronous",
    "aws_durable_execution_sdk_python": "official",
    # `invoked_elsewhere` makes these handlers, not a decorator.
    "async_durable_execution_runner": "elsewhere",
}


class Client(Protocol):
    """One handler's way to the coordinator, for all its invocations in this process."""

    def event(self, invocation: worker_pb2.Invocation) -> dict[str, Any]:
        """Make Lambda's event for an invocation that begins now."""

    def watching(self) -> AbstractContextManager[None]:
        """Return the context in which the handler is called."""

    def divergences(self, succeeded: bool) -> Iterable[Divergence]:
        """Compare the invocation that ends now with the record.

        `succeeded` says whether the handler has returned its result.
        """

    def locate(self, request: worker_pb2.RecordEffectRequest) -> None:
        """Say to which operation an effect of the calling thread belongs, if that is known."""

    def at_rest(self) -> bool:
        """Whether nothing that invocations have left behind would go on with the next one."""

    def close(self) -> None: ...


class Sdk(Protocol):
    """The functions that an adapter module has."""

    def client(self, connection: Connection) -> Client: ...

    def bind(self, handler: Handler, client: Any) -> Handler:
        """Return the decorated handler with `client` in place of the SDK's own client."""

    def complaint(self, function: object) -> str:
        """Say why the SDK cannot run the function below its decorator; empty if it can."""

    def rebuilding(self, handler: Handler) -> Any:
        """Say how to pickle the handler, as `__reduce__` does.

        NotImplemented means that it is pickled like any function.
        """


def of(function: object) -> Sdk | None:
    """Return the adapter of a function that a `durable_execution` decorator made.

    It is None for any other object.
    """
    package = _package_of(function)
    # The asynchronous SDK's wrapper has the function that it awaits as an attribute. The attribute
    # proves nothing, since functools.wraps copies it to other wrappers.
    if package is None or inspect.iscoroutinefunction(function):
        return None
    if _own_parameters(function) != ["event", "context"]:
        return None
    return cast(Sdk, import_module(f".{_ADAPTERS[package]}", __package__))


def preloadable(sdk: Sdk) -> str:
    """Return the name of the adapter `sdk` where an import finds its SDK now as it was found
    before, and "" where the import path has another copy of it, as a code folder may."""
    adapter = cast(types.ModuleType, sdk).__name__.rpartition(".")[2]
    package = next(package for package, name in _ADAPTERS.items() if name == adapter)
    found = PathFinder.find_spec(package)
    before = getattr(sys.modules.get(package), "__file__", "")
    return adapter if found and found.origin == before else ""


def makes_callables(function: object) -> bool:
    """Whether one of an SDK's decorators for steps and the like made `function`."""
    return _package_of(function) is not None and _own_parameters(function) == ["args", "kwargs"]


def is_decorator(function: object) -> bool:
    """Whether `function` is a `durable_execution` decorator itself."""
    name, _, _ = getattr(function, "__module__", "").partition(".")
    return name in _ADAPTERS and getattr(function, "__name__", "") == "durable_execution"


def kind_of(function: Any) -> str:
    """Say what kind of function this is: "an async function" and so on."""
    # What an instance is when it is called, its class says.
    for candidate in (function, type(function).__call__):
        if inspect.isasyncgenfunction(candidate):
            return "an async generator"
        if inspect.iscoroutinefunction(candidate):
            return "an async function"
        if inspect.isgeneratorfunction(candidate):
            return "a generator"
    return "a plain function"


def module_of(function: Any) -> types.ModuleType | None:
    """Return the module in which an import finds `function`, or None."""
    if not _is_anonymous(function):
        return sys.modules.get(getattr(function, "__module__", None) or "")
    return next((each for each in list(sys.modules.values()) if _name_in(each, function)), None)


def name_of(function: Any) -> str | None:
    name: str | None = getattr(function, "__name__", None)
    if not _is_anonymous(function):
        return name
    return _name_in(module_of(function), function) or name


def _is_anonymous(function: Any) -> bool:
    # Releases of the official SDK before 3 make handlers that do not say their module.
    return _package_of(function) is not None and function.__module__.startswith(tuple(_ADAPTERS))


def _name_in(module: types.ModuleType | None, function: Any) -> str | None:
    names = getattr(module, "__dict__", None)
    if not isinstance(names, dict):
        return None
    return next((name for name, value in list(names.items()) if value is function), None)


def _package_of(function: object) -> str | None:
    if (
        not isinstance(function, types.FunctionType)
        or "<locals>" not in function.__code__.co_qualname
    ):
        return None
    name, _, _ = function.__globals__.get("__name__", "").partition(".")
    return name if name in _ADAPTERS else None


def _own_parameters(function: Any) -> list[str]:
    return list(inspect.signature(function, follow_wrapped=False).parameters)
