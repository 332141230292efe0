"""Input of every kind for an operation, made from what the service model says of it.

For every member, however deep: the least and the most that the model lets it be, one less and
one more, what its pattern and its enum do not have, another type, and its absence.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from async_durable_execution_runner.gateway.model import API, ApiOperation

Path = tuple[str | int, ...]
SERVED = (
    *("Invoke", "GetFunction", "GetFunctionConfiguration", "ListFunctions"),
    *("GetDurableExecution", "GetDurableExecutionHistory", "GetDurableExecutionState"),
    *("CheckpointDurableExecution", "ListDurableExecutionsByFunction", "StopDurableExecution"),
    *(f"SendDurableExecutionCallback{how}" for how in ("Success", "Failure", "Heartbeat")),
)
#: All but the last part, which may be of any length.
ARN = "arn:aws:lambda:us-east-1:123456789012:function:order:$LATEST/durable-execution/name/"


@dataclass(frozen=True)
class Case:
    operation: str
    label: str
    #: Whether the model has it so.
    good: bool
    parameters: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.operation}: {self.label}"


def cases() -> Iterator[Case]:
    for name in SERVED:
        operation = API.operations[name]
        base = example(operation.input)
        yield Case(name, "only what is required", True, base)
        yield Case(name, "everything", True, example(operation.input, everything=True))
        for path, shape in _members(operation.input, ()):
            for what, good, value in _values(shape, path, operation):
                label = f"{'.'.join(map(str, path))} {what}"
                yield Case(name, label, good, _with(operation, base, path, value))
        for path in _required(operation.input, ()):
            if _place(operation, path) != "uri":
                parameters = _with(operation, base, path, None)
                yield Case(name, f"{'.'.join(map(str, path))} absent", False, parameters)


def example(shape: Any, everything: bool = False) -> Any:
    """A small value of this shape."""
    match shape.type_name:
        case "structure":
            names = shape.members if everything else shape.required_members
            return {name: example(shape.members[name], everything) for name in names}
        case "list":
            return [example(shape.member, everything)]
        case "string":
            texts = ("a", f"{ARN}a", "us-east-1")
            return (shape.enum or [each for each in texts if _fits(shape, each)])[0]
        case "blob":
            return b"1"
        case "boolean":
            return True
        case "timestamp":
            return datetime(2026, 1, 1, tzinfo=UTC)
        case _:
            return shape.metadata.get("min", 1)


def _members(shape: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield (*path, name), member
            yield from _members(member, (*path, name))
    elif shape.type_name == "list":
        yield (*path, 0), shape.member
        yield from _members(shape.member, (*path, 0))


def _required(shape: Any, path: Path) -> Iterator[Path]:
    if shape.type_name == "structure":
        for name in shape.required_members:
            yield (*path, name)
        for name, member in shape.members.items():
            yield from _required(member, (*path, name))
    elif shape.type_name == "list":
        yield from _required(shape.member, (*path, 0))


def _place(operation: ApiOperation, path: Path) -> str:
    return str(operation.input.members[path[0]].serialization.get("location", "body"))


def _values(shape: Any, path: Path, operation: ApiOperation) -> Iterator[tuple[str, bool, Any]]:
    """What the member is made to be, whether it may, and in words."""
    limits, place = shape.metadata, _place(operation, path)
    least, most = limits.get("min"), limits.get("max")
    in_body = place == "body" and operation.input.serialization.get("payload") != path[-1]
    match shape.type_name:
        case "string":
            if shape.enum:
                yield from ((f"is {each}", True, each) for each in shape.enum)
                yield "is of no enum", False, "Neither"
                return
            if least and (text := _of_length(shape, least)):
                yield "at its least", True, text
                # An empty part of a path, or an empty header, is another request.
                if least == 1 and place in ("body", "querystring"):
                    yield "below its least", False, ""
            if most and (text := _of_length(shape, most)):
                yield "at its most", True, text
                yield "above its most", False, text + text[-1]
            if "pattern" in limits:
                texts = ("!", "a\N{GREEK SMALL LETTER ALPHA}", "{}")
                bad = next(each for each in texts if not _fits(shape, each))
                yield "not of its pattern", False, bad
            if in_body:
                yield "is a number", False, 5
        case "integer" | "long":
            if least is not None:
                yield "at its least", True, least
                yield "below its least", False, least - 1
            if most is not None:
                yield "at its most", True, most
                yield "above its most", False, most + 1
            yield "is a text", False, "five"
        case "boolean":
            yield from ((f"is {each}", True, each) for each in (True, False))
            yield "is neither", False, "perhaps"
        case "blob":
            yield "is empty", True, b""
            if most is not None:
                yield "at its most", True, b'"' + b"x" * (most - 2) + b'"'
                yield "above its most", False, b"x" * (most + 1)
        case "list" if most is not None:
            yield "at its most", True, [example(shape.member)] * most
            yield "above its most", False, [example(shape.member)] * (most + 1)
        case "timestamp":
            yield "is long ago", True, datetime(1970, 1, 1, tzinfo=UTC)
            yield "is far off", True, datetime(9999, 1, 1, tzinfo=UTC)


def _of_length(shape: Any, length: int) -> str:
    """A text of the shape's pattern; "" where none is thought of."""
    candidates = ("a" * length, ARN + "a" * (length - len(ARN)))
    return next((each for each in candidates if len(each) == length and _fits(shape, each)), "")


def _fits(shape: Any, text: str) -> bool:
    return re.fullmatch(shape.metadata.get("pattern", ".*"), text) is not None


def _with(operation: ApiOperation, base: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """`base` with `value` at `path`, and what is needed around it; None: with nothing there."""
    parameters = copy.deepcopy(base)
    shape, inside = operation.input, parameters
    for key, below in zip(path, (*path[1:], None), strict=True):
        shape = shape.member if isinstance(key, int) else shape.members[key]
        if below is None:
            if value is None:
                del inside[key]
            else:
                inside[key] = value
            return parameters
        if isinstance(inside, dict) and key not in inside:
            inside[key] = example(shape)
        inside = inside[key]
    raise AssertionError("the path is empty")
