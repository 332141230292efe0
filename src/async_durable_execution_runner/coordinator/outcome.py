"""A durable handler's return value, read as the event that it means."""

from __future__ import annotations

import json

from ..core import events as ev
from ..core.model import ErrorObject


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
            now_ms, request_id, ev.Outcome(value["Status"]), _text(result), _read_error(error)
        )
    except (ValueError, KeyError, AttributeError, RecursionError):
        why = ErrorObject(
            "The handler returned something that is no invocation output: "
            f"{output[:200]}. Is it decorated with @durable_execution?",
            "InvalidParameterValueException",
        )
        return ev.InvocationFailed(now_ms, request_id, why, final=True)


def _read_error(error: dict[str, object] | None) -> ErrorObject | None:
    if error is None:
        return None
    texts = [error.get(key) for key in ("ErrorMessage", "ErrorType", "ErrorData")]
    message, type, data = (_text(text) for text in texts)
    trace = error.get("StackTrace")
    lines = tuple(_text(line) or "" for line in trace) if isinstance(trace, list) else None
    return ErrorObject(message, type, data, lines)


def _text(value: object) -> str | None:
    # JSON may hold half a surrogate pair (a file name that is no UTF-8), a message may not.
    return None if value is None else str(value).encode(errors="backslashreplace").decode()
