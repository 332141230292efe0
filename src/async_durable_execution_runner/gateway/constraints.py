"""The check whether parameters keep to the model: required members, lengths, ranges, patterns
and enums."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from ..core.constraints import Constraint, problem, quoted, refuse
from .model import Shape


def check(shape: Shape | None, parameters: dict[str, Any]) -> None:
    """Check whether `parameters` keep to the model.

    Raises:
        InvalidParameterValue: Some do not; the text names the first ten in the service's words.
    """
    if shape is not None:
        refuse(_of_structure(shape, parameters, ""))


def _of_structure(shape: Shape, values: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if name not in values:
            yield problem(_below(path, name), "Member must not be null", "null")
    for name, value in values.items():
        yield from _of_value(shape.members[name], value, _below(path, name))


def _of_value(shape: Shape, value: Any, path: str) -> Iterator[str]:
    hidden = isinstance(value, dict | list) or shape.metadata.get("sensitive")
    for rule in _broken(shape, value):
        yield problem(path, rule, "" if hidden else quoted(value))
    match shape.type_name:
        case "structure":
            yield from _of_structure(shape, value, path)
        case "list":
            for place, each in enumerate(value, start=1):
                yield from _of_value(shape.member, each, f"{path}.{place}.member")
        case "map":
            for key, each in value.items():
                yield from _of_value(shape.key, key, f"{path}.{key}.key")
                yield from _of_value(shape.value, each, f"{path}.{key}.member")


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    rules = shape.metadata
    if (members := rules.get("enum")) and value not in members:
        yield f"Member must satisfy enum value set: [{', '.join(members)}]"
    pattern = rules.get("pattern") if shape.type_name == "string" else None
    known = pattern if pattern and _is_known(pattern) else None
    yield from Constraint(rules.get("min"), rules.get("max"), known).broken(value)


@cache
def _is_known(pattern: str) -> bool:
    """Whether Python can compile a pattern. Where only Java can, the rule is not checked."""
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _below(path: str, name: str) -> str:
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member
