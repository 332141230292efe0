"""Reads a durable handler's return value as the event that it means."""

from __future__ import annotations

import json

from ..core import events as ev
from ..core import shapes
from ..core.model import ErrorObject
from ..core.text import utf8


def read_output(
    output: str, now_ms: int, request_id: str
) -> ev.InvocationReturned | ev.InvocationFailed:
    """Read a durable handler's return value, which must be an invocation output.

    Args:
        output: The return value as JSON.
        now_ms: The time of the event, in Unix milliseconds on the execution's clock.
        request_id: The invocation that returned.
    """
    try:
        value = json.loads(output)
        result, error = value.get("Result"), value.get("Error")
        if not isinstance(result, str | None) or not isinstance(error, dict | None):
            raise ValueError("Result or Error")
        return ev.InvocationReturned(
            now_ms,
            request_id,
            ev.Outcome(value["Status"]),
            None if result is None else utf8(result),
            None if error is None else shapes.ERROR.from_json(error),
        )
    except (ValueError, KeyError, AttributeError, RecursionError):
        why = ErrorObject(
            "The handler returned something that is not an invocation output: "
            f"{output[:200]}. Is it decorated with @durable_execution?",
            "InvalidParameterValueException",
        )
        return ev.InvocationFailed(now_ms, request_id, why, final=True)
