"""Handlers of `async-durable-execution`.

A test process only asks what kind of handler it has, and so does without gRPC: the first client
imports that.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import async_durable_execution as sdk

from .choice import Handler, kind_of

if TYPE_CHECKING:
    from ..connection import Connection
    from .async_client import AsyncClient


def bind(handler: Handler, client: Any) -> Handler:
    from . import execution_clock
    from .replay import note_returned

    user_function: Any = handler.__wrapped__  # type: ignore[attr-defined]

    @wraps(user_function)
    async def noted(*arguments: Any) -> Any:
        if client is not None:
            execution_clock.follow(client)
        return note_returned(await user_function(*arguments))

    return sdk.durable_execution(noted, service_client=client)


def complaint(function: object) -> str:
    kind = kind_of(function)
    if kind == "an async function":
        return ""
    remedy = "return its result" if "generator" in kind else "define it with async def"
    return f"is {kind}, and the SDK awaits the handler: {remedy}."


def rebuilding(handler: Handler) -> Any:
    # The decorated handler holds an event loop and a client.
    return sdk.durable_execution, (handler.__wrapped__,)  # type: ignore[attr-defined]


def client(connection: Connection) -> AsyncClient:
    from . import execution_clock
    from .async_client import AsyncClient, identifier_class
    from .replay import install

    cls = identifier_class()
    if cls is not None:
        install(cls, makes_tasks=True)
    execution_clock.install()
    return AsyncClient(connection)
