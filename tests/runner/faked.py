"""A handler that calls what is faked by a setup, and setups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from async_durable_execution import durable_execution, step

from . import service

AT_IMPORT = os.environ.get("SET_UP")


@durable_execution
async def pay(event: dict[str, Any]) -> dict[str, Any]:
    async def charge() -> str:
        return service.charge(event["amount"])

    return {
        "charged": await step(charge, name="charge"),
        "at_import": AT_IMPORT,
        "set_up": os.environ.get("SET_UP"),
        "pid": os.getpid(),
    }


@contextmanager
def fakes() -> Iterator[None]:
    with patch.object(service, "charge", lambda amount: f"{amount} from {os.environ['WHO']}"):
        yield


def broken() -> None:
    raise ValueError("no such fake")
