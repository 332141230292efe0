"""Which SDK a durable handler is written with, and what an adapter of one has to offer.

Nothing but the adapters, `asynchronous` (with its `async_client`) and `official`, knows one SDK
from another. Each is imported with the first handler that needs it: that handler has imported its
SDK already. `elsewhere` is one more, for handlers that are no code of this process.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from ...core.divergence import Divergence
    from ...rpc.v1 import worker_pb2
    from ..connection import Connection

Handler = Callable[..., Any]

_ADAPTERS = {
    "async_durable_execution": "asynchronous",
    "aws_durable_execution_sdk_python": "official",
    # Made by no decorator, but by `invoked_elsewhere`.
    "async_durable_execution_runner": "elsewhere",
}


class Client(Protocol):
    """One handler's way to the coordinator, for all its invocations in this process."""

    def event(self, invocation: worker_pb2.Invocation) -> dict[str, Any]:
        """Lambda's event for an invocation that begins now."""

    def watching(self) -> AbstractContextManager[None]:
        """Around the call of the handler."""

    def divergences(self, succeeded: bool) -> Iterable[Divergence]:
        """Of the invocation that ends now. `succeeded`: the handler has returned its result."""

    def locate(self, request: worker_pb2.RecordEffectRequest) -> None:
        """Say to which operation an effect of the calling thread belongs, if that is known."""

    def close(self) -> None: ...


class Sdk(Protocol):
    """What an adapter module has."""

    def client(self, connection: Connection) -> Client: ...

    def bind(self, handler: Handler, client: Any) -> Handler:
        """What the SDK's decorator made, with `client` in place of the SDK's own."""

    def rebuilding(self, handler: Handler) -> Any:
        """How to pickle it, as `__reduce__` says it, or NotImplemented: like any function."""


def of(function: object) -> Sdk | None:
    """Of what a `durable_execution` decorator made; of anything else None."""
    package = _package_of(function)
    # What it awaits is an attribute of the asynchronous SDK's wrapper: functools.wraps copies that.
    if package is None or inspect.iscoroutinefunction(function):
        return None
    if _own_parameters(function) != ["event", "context"]:
        return None
    return cast(Sdk, import_module(f".{_ADAPTERS[package]}", __package__))


def makes_callables(function: object) -> bool:
    """Whether it was made by one of an SDK's decorators for steps and the like."""
    return _package_of(function) is not None and _own_parameters(function) == ["args", "kwargs"]


def is_decorator(function: object) -> bool:
    """Whether it is a `durable_execution` itself."""
    name, _, _ = getattr(function, "__module__", "").partition(".")
    return name in _ADAPTERS and getattr(function, "__name__", "") == "durable_execution"


def module_of(function: Any) -> types.ModuleType | None:
    """Where an import finds it."""
    if not _is_anonymous(function):
        return sys.modules.get(getattr(function, "__module__", None) or "")
    return next((each for each in list(sys.modules.values()) if _name_in(each, function)), None)


def name_of(function: Any) -> str | None:
    name: str | None = getattr(function, "__name__", None)
    if not _is_anonymous(function):
        return name
    return _name_in(module_of(function), function) or name


def _is_anonymous(function: Any) -> bool:
    # Official releases before 3 make handlers that do not say where they come from.
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
