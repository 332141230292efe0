"""What is done with a call of a worker host or a worker, whichever it is."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import grpc

from ..rpc import WORKER_ID, details

_logger = logging.getLogger(__name__)

Context = Any
"""A `grpc.aio.ServicerContext`; grpcio ships no types for it."""


async def refuse(context: Context, code: grpc.StatusCode, why: str) -> NoReturn:
    """End the call with a status and the sentence that says why."""
    _logger.info("a worker's or host's call refused, %s: %s", code.name, why)
    await context.abort(code, details(why))
    raise AssertionError("abort raises")


def worker_id(context: Context) -> str:
    """Return the id of the worker that says it calls."""
    return str(dict(context.invocation_metadata()).get(WORKER_ID, ""))
