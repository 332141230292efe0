"""What a caller gives as input, result or error, in the form in which it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ..core import model
from ..core.text import load_json

# pytest shows the line of the test, not ours.
__tracebackhide__ = True


def text_of(name: str, value: str | None) -> str:
    """`value`, or "" for None; `TypeError` if it is not a text, `ValueError` if it is not UTF-8."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} must be a string.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}={value!r} cannot be sent: it is not UTF-8.") from None
    return value


def inputs_of(inputs: Iterable[object]) -> Iterable[object]:
    """`inputs`, one for each execution; `TypeError` for what is one input itself."""
    if isinstance(inputs, Mapping | str | bytes):
        kind = "text" if isinstance(inputs, str | bytes) else "mapping"
        raise TypeError(
            f"run_many() takes several inputs, and a {kind} is one: give a list, "
            f"run_many([{inputs!r:.50}])."
        )
    return inputs


def payload_of(value: object, *, text_is_json: bool = True) -> str:
    """The JSON document for `value`; `TypeError` for what JSON cannot carry.

    With `text_is_json` a `str` that is a JSON document is taken as that document. Any other
    `str` becomes a JSON string.
    """
    if text_is_json and isinstance(value, str):
        try:
            load_json(text_of("input", value))
        except ValueError:
            return json.dumps(value)
        return value
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as problem:
        raise TypeError(
            f"This {type(value).__name__} cannot be sent as JSON ({problem}). Pass what JSON can "
            "carry, or text of your own making as payload=."
        ) from problem


def error_object(error: object) -> model.ErrorObject | None:
    """The error to send for what a caller gives; `TypeError` for what is none of the types."""
    match error:
        case None:
            return None
        case BaseException():
            return model.ErrorObject(str(error), type(error).__name__)
        # Each SDK has an `ErrorObject` of its own.
        case object(message=message, type=kind, data=data, stack_trace=trace):
            return model.ErrorObject(message, kind, data, tuple(trace) if trace else None)
        case str():
            return model.ErrorObject(error)
    raise TypeError(f"An ErrorObject, an exception or a text is needed, not {error!r}.")


def callback_payload(result: object) -> str | None:
    """Text and bytes are the payload as they stand; anything else is sent as JSON."""
    match result:
        case None | b"":
            return None
        case bytes():
            return result.decode()
        case str():
            return result
    return json.dumps(result) if not isinstance(result, bytearray) else result.decode()
