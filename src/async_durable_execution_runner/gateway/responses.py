"""Answers, with each member where the model has it (status, headers, body), and refusals."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

from .model import API, ApiOperation, Shape

_JSON = ("content-type", "application/json")


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


def success(operation: ApiOperation, result: dict[str, Any]) -> Response:
    """Make the answer from `result`, by member name; members that the model lacks are left out."""
    shape, status = operation.output, operation.status
    headers = [_JSON]
    if shape is None:
        return Response(status, headers, b"{}")
    payload = shape.serialization.get("payload")
    in_body: dict[str, Any] = {}
    for name, value in result.items():
        member = shape.members.get(name)
        if member is None or value is None or name == payload:
            continue
        place = member.serialization
        key = place.get("name", name)
        match place.get("location"):
            case "statusCode":
                status = value
            case "header":
                headers.append((key, str(value)))
            case "headers":
                headers += [(f"{key}{name}", str(each)) for name, each in value.items()]
            case _:
                in_body[key] = _to_json(member, value)
    body = _encoded(in_body)
    if payload is not None:
        value, member = result.get(payload), shape.members[payload]
        if member.type_name in ("blob", "string"):
            body = value.encode() if isinstance(value, str) else value or b""
        else:
            body = _encoded(_to_json(member, value or {}))
    return Response(status, headers, body)


def failure(code: str, message: str, http_status: int) -> Response:
    """Make a refusal in the shape of the modelled exception, so that boto3 raises that exception.

    Args:
        code: The service's name for the refusal.
        message: What the client reads.
        http_status: The status of the answer, unless the model has one for the code.
    """
    shape = API.error_shape(code)
    name = "message"
    if shape is not None:
        http_status = shape.metadata["error"].get("httpStatusCode", http_status)
        name = next((each for each in shape.members if each.lower() == name), name)
    body = {"Type": "User" if http_status < 500 else "Service", name: message}
    return Response(http_status, [_JSON, ("x-amzn-ErrorType", code)], _encoded(body))


def _to_json(shape: Shape, value: Any) -> Any:
    match shape.type_name:
        case "structure":
            members = shape.members
            return {
                members[name].serialization.get("name", name): _to_json(members[name], each)
                for name, each in value.items()
                if each is not None and name in members
            }
        case "list":
            return [_to_json(shape.member, each) for each in value]
        case "map":
            return {key: _to_json(shape.value, each) for key, each in value.items()}
        case "blob":
            return base64.b64encode(value).decode()
        case _:
            # Timestamps are Unix seconds in the result and in the answer.
            return value


def _encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
