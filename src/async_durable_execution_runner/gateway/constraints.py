"""The check whether parameters keep to the model: required members, lengths, ranges, patterns
and enums."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
    if (rules := _rules(shape)) is not None:
        hidden = isinstance(value, dict | list) or shape.metadata.get("sensitive")
        for rule in _broken(*rules, value):
            yield problem(path, rule, "" if hidden else quoted(value))
    match shape.type_name:
        case "structure":
            yield from _of_structure(shape, value, path)
        case "list" if not _takes_everything(shape.member):
            for place, each in enumerate(value, start=1):
                yield from _of_value(shape.member, each, f"{path}.{place}.member")
        case "map":
            for key, each in value.items():
                yield from _of_value(shape.key, key, f"{path}.{key}.key")
                yield from _of_value(shape.value, each, f"{path}.{key}.member")


def _broken(members: Sequence[str], constraint: Constraint, value: Any) -> Iterator[str]:
    if members and value not in members:
        yield f"Member must satisfy enum value set: [{', '.join(members)}]"
    yield from constraint.broken(value)


@cache
def _takes_everything(shape: Shape) -> bool:
    """Whether no value breaks a rule, as of the lines of a stack, of which there may be many."""
    return _rules(shape) is None and shape.type_name not in ("structure", "list", "map")


@cache
def _rules(shape: Shape) -> tuple[Sequence[str], Constraint] | None:
    """Return the values that a shape may have, if they are counted, and its constraint; None for a
    shape that takes everything. A pattern that only Java can compile is left out."""
    given = shape.metadata
    pattern = given.get("pattern") if shape.type_name == "string" else None
    try:
        re.compile(pattern or "")
    except re.error:
        pattern = None
    members, constraint = (
        given.get("enum", ()),
        Constraint(given.get("min"), given.get("max"), pattern),
    )
    return (members, constraint) if members or constraint != Constraint() else None


def _below(path: str, name: str) -> str:
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member
