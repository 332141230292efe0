"""A request's parameters, each from where the model has it: path, query, headers or body.

Values become Python's: `str`, `int`, `float`, `bool`, `bytes`, lists, and dicts with the model's
member names. Timestamps become Unix seconds.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs

from ..core.text import load_json, not_unicode
from .model import ApiOperation, Shape
from .refusals import not_readable

_MOST_DIGITS = 100
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NO_BODY = frozenset({b"", b"{}"})


def parameters(
    operation: ApiOperation,
    labels: Mapping[str, str],
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> dict[str, Any]:
    """Read a request's parameters, by member name.

    Args:
        operation: The operation that the request asks for.
        labels: The values of the labels in the request's path.
        query: The request's query, as it was sent.
        headers: The request's headers, by lower-case name.
        body: The request's body.

    Raises:
        Refusal: A parameter cannot be read.
    """
    shape = operation.input
    if shape is None:
        return {}
    queries = parse_qs(query, keep_blank_values=True) if query else {}
    found: dict[str, Any] = {}
    in_body: list[str] = []
    for name, member in shape.members.items():
        place = member.serialization
        key = place.get("name", name)
        match place.get("location"):
            case "uri":
                found[name] = _from_text(member, name, [labels[key]])
            case "querystring":
                if key in queries:
                    found[name] = _from_text(member, name, queries[key])
            case "header":
                if (text := headers.get(key.lower())) is not None:
                    found[name] = _from_text(member, name, [text])
            case "headers":
                if some := _prefixed(headers, key.lower()):
                    found[name] = some
            case _:
                in_body.append(name)
    payload = shape.serialization.get("payload")
    if payload is not None:
        if (value := _payload(shape.members[payload], payload, body)) is not None:
            found[payload] = value
    elif in_body:
        given = _from_json(shape, "", {} if not body else load(body))
        found |= {name: given[name] for name in in_body if name in given}
    return found


def parses_body(operation: ApiOperation) -> bool:
    """Return whether the body is a JSON document whose members are parameters."""
    shape = operation.input
    if shape is None:
        return False
    payload = shape.serialization.get("payload")
    return payload is None or shape.members[payload].type_name == "structure"


def load(body: bytes) -> Any:
    """Read a body as a JSON document."""
    try:
        # The standard has no other encoding, and what counts the values knows none.
        return load_json(body.decode(), _integer)
    except (ValueError, RecursionError) as error:
        raise not_readable(f"Could not parse request body into json: {error}") from None


def _integer(digits: str) -> int:
    # No member takes as many digits, and thousands of them take Python long to read.
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has more than {_MOST_DIGITS} digits")
    return int(digits)


def _payload(shape: Shape, name: str, body: bytes) -> Any:
    if shape.type_name == "blob":
        return body or None
    if shape.type_name == "string":
        return body.decode(errors="replace") or None
    # An absent structure is sent as an empty one.
    return None if body in _NO_BODY else _from_json(shape, name, load(body))


def _prefixed(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {
        name.removeprefix(prefix): value
        for name, value in headers.items()
        if name.startswith(prefix)
    }


def _from_text(shape: Shape, name: str, texts: Sequence[str]) -> Any:
    """Read a value from the texts that a path, a query or a header has for it."""
    text = texts[0]
    match shape.type_name:
        case "list":
            return [_from_text(shape.member, name, [each]) for each in texts]
        case "integer" | "long":
            if _INTEGER.fullmatch(text):
                return int(text)
        case "float" | "double":
            try:
                return float(text)
            except ValueError:
                pass
        case "boolean":
            if text.lower() in ("true", "false"):
                return text.lower() == "true"
        case "timestamp":
            return _time(text, name)
        case "blob":
            return text.encode()
        case _:
            return text
    raise not_readable(f"The value of {name} is not of type {shape.type_name}.")


def _from_json(shape: Shape, name: str, value: Any) -> Any:
    kind = shape.type_name
    match value:
        case dict() if kind == "structure":
            found = {}
            for key, member in shape.members.items():
                given = value.get(member.serialization.get("name", key))
                if given is not None:
                    found[key] = _from_json(member, key, given)
            return found
        case dict() if kind == "map":
            return {
                _whole(key, name): _from_json(shape.value, name, each)
                for key, each in value.items()
                if each is not None
            }
        case list() if kind == "list":
            return [_from_json(shape.member, name, each) for each in value]
        case bool() if kind == "boolean":
            return value
        case bool():
            pass
        case str() if kind == "string":
            return _whole(value, name)
        case str() if kind == "timestamp":
            return _time(value, name)
        case str() if kind == "blob":
            try:
                return base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                pass
        case int() if kind in ("integer", "long"):
            return value
        case int() | float() if kind in ("float", "double", "timestamp"):
            if math.isfinite(value):
                return float(value)
    raise not_readable(f"The value of {name or 'the request'} is not of type {kind}.")


def _whole(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise not_readable(not_unicode(text, name)) from None
    return text


def _time(text: str, name: str) -> float:
    """Return Unix seconds, read from ISO 8601, HTTP's own form, or Unix seconds."""
    for read in (float, _iso, _http):
        try:
            seconds = read(text)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(seconds):
            return seconds
    raise not_readable(f"The value of {name} is not a timestamp.")


def _iso(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _http(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()
