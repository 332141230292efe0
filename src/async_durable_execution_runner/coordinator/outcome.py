"""A durable handler's return value, read as the event that it means."""

from __future__ import annotations

import json

from ..core import events as ev
from ..core import shapes
from ..core.model import ErrorObject
from ..core.text import utf8


def read_output(
    output: str, now_ms: int, request_id: str
) -> ev.InvocationReturned | ev.InvocationFailed:
    """A durable handler's return value, which must be an invocation output."""
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
            "The handler returned something that is no invocation output: "
            f"{output[:200]}. Is it decorated with @durable_execution?",
            "InvalidParameterValueException",
        )
        return ev.InvocationFailed(now_ms, request_id, why, final=True)
