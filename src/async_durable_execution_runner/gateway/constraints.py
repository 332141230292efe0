"""The check whether parameters keep to the model: required members, lengths, ranges, patterns
and enums."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

from ..errors import InvalidParameterValue
from .model import Shape

#: The characters of a value that a refusal shows at most.
_SHOWN_CHARACTERS = 256
#: The problems that a refusal names at most. No more are looked for.
_MOST_PROBLEMS = 10


def check(shape: Shape | None, parameters: dict[str, Any]) -> None:
    """Check whether `parameters` keep to the model.

    Raises:
        InvalidParameterValue: Some do not; the text names the first ten in the service's words.
    """
    if shape is None:
        return
    problems = list(islice(_of_structure(shape, parameters, ""), _MOST_PROBLEMS + 1))
    if problems:
        more = len(problems) > _MOST_PROBLEMS
        problems = problems[:_MOST_PROBLEMS]
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        count += ", and there are more" if more else ""
        raise InvalidParameterValue(f"{count}: {'; '.join(problems)}")


def _of_structure(shape: Shape, values: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if name not in values:
            yield f"Value null at '{_below(path, name)}' {_FAILED}: Member must not be null"
    for name, value in values.items():
        yield from _of_value(shape.members[name], value, _below(path, name))


def _of_value(shape: Shape, value: Any, path: str) -> Iterator[str]:
    whole = isinstance(value, dict | list)
    for rule in _broken(shape, value):
        shown = "" if whole or shape.metadata.get("sensitive") else f" '{_text(value)}'"
        yield f"Value{shown} at '{path}' {_FAILED}: {rule}"
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


_FAILED = "failed to satisfy constraint"


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    limits = shape.metadata
    if (least := limits.get("min")) is not None or "max" in limits:
        size, what = _size(shape, value)
        if least is not None and size < least:
            yield f"Member must have {what} greater than or equal to {least}"
        if (most := limits.get("max")) is not None and size > most:
            yield f"Member must have {what} less than or equal to {most}"
            return
    if shape.type_name != "string":
        return
    if (members := limits.get("enum")) and value not in members:
        yield f"Member must satisfy enum value set: [{', '.join(members)}]"
    pattern = limits.get("pattern")
    if pattern and (known := _compiled(pattern)) and not known.fullmatch(value):
        yield f"Member must satisfy regular expression pattern: {pattern}"


def _size(shape: Shape, value: Any) -> tuple[float, str]:
    if shape.type_name in ("string", "blob", "list", "map"):
        return len(value), "length"
    return value, "value"


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Compile a pattern, or return None where only Java knows it: such a rule is not checked."""
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _below(path: str, name: str) -> str:
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
