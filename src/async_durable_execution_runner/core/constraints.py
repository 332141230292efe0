"""What the service's model asks of the members of an update, and the words of a refusal.

A request over HTTP is held against the whole model. What a worker checkpoints is held against this
part of it, which a test compares with the model, so that the same content is refused in the same
words wherever it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Any

from ..errors import InvalidParameterValue
from . import limits
from .model import OperationUpdate

#: The characters of a value that a refusal shows at most.
_SHOWN_CHARACTERS = 256
#: The problems that a refusal names at most. No more are looked for.
_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Constraint:
    """The bounds of a number, or of the length of anything else, and the pattern of a text."""

    least: int | None = None
    most: int | None = None
    pattern: str | None = None

    def broken(self, value: Any) -> Iterator[str]:
        """Yield the rules that `value` breaks, in the service's words."""
        size, what = (value, "value") if isinstance(value, int | float) else (len(value), "length")
        if self.least is not None and size < self.least:
            yield f"Member must have {what} greater than or equal to {self.least}"
        if self.most is not None and size > self.most:
            yield f"Member must have {what} less than or equal to {self.most}"
        elif self.pattern is not None and not re.fullmatch(self.pattern, value):
            yield f"Member must satisfy regular expression pattern: {self.pattern}"


_ID = Constraint(1, 64, "[a-zA-Z0-9-_]+")
_SECONDS = Constraint(1, limits.DURATION_SECONDS)
_TIMEOUT = Constraint(0, 99_999_999)
#: The constraints by the member's name here and in the model.
UPDATE: dict[str, tuple[str, Constraint]] = {
    "id": ("id", _ID),
    "parent_id": ("parentId", _ID),
    "name": ("name", Constraint(1, 256, r"[\x20-\x7E]+")),
    "sub_type": ("subType", Constraint(1, 32, "[a-zA-Z0-9-_]+")),
    "next_attempt_delay_seconds": ("stepOptions.nextAttemptDelaySeconds", _SECONDS),
    "wait_seconds": ("waitOptions.waitSeconds", _SECONDS),
    "timeout_seconds": ("callbackOptions.timeoutSeconds", _TIMEOUT),
    "heartbeat_timeout_seconds": ("callbackOptions.heartbeatTimeoutSeconds", _TIMEOUT),
    "function_name": (
        "chainedInvokeOptions.functionName",
        Constraint(
            1,
            256,
            r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
            r"(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?",
        ),
    ),
    "tenant_id": (
        "chainedInvokeOptions.tenantId",
        Constraint(1, 256, r"[a-zA-Z0-9\._:\/=+\-@ ]+"),
    ),
}


def _quick(constraint: Constraint) -> Callable[[Any], object]:
    """Return a function whose result is true where a value keeps to the constraint."""
    least, most = constraint.least or 0, constraint.most
    if constraint.pattern is None:
        assert most is not None
        return range(least, most + 1).__contains__
    length, pattern = f"{{{least},{most}}}", constraint.pattern
    if pattern.rfind("[") == 0 and pattern.endswith("]+"):
        return re.compile(pattern[:-1] + length).fullmatch
    return re.compile(rf"(?=[\s\S]{length}\Z)(?:{pattern})").fullmatch


_members = attrgetter(*UPDATE)
_quick_checks = [_quick(constraint) for _, constraint in UPDATE.values()]


def check_updates(updates: Sequence[OperationUpdate]) -> None:
    """Raise `InvalidParameterValue` where members of the updates break the model's rules."""
    for update in updates:
        for value, keeps in zip(_members(update), _quick_checks, strict=True):
            if value is not None and not keeps(value):
                # To say which rules are broken takes ten times as long.
                refuse(_problems(updates))


def _problems(updates: Sequence[OperationUpdate]) -> Iterator[str]:
    for place, update in enumerate(updates, start=1):
        for member, (name, constraint) in UPDATE.items():
            value = getattr(update, member)
            if value is not None:
                for rule in constraint.broken(value):
                    yield problem(f"updates.{place}.member.{name}", rule, quoted(value))


def problem(path: str, rule: str, shown: str = "") -> str:
    """Return the service's words for a value that breaks a rule.

    Args:
        path: The member that has the value.
        rule: The rule, in the service's words.
        shown: The value as it is shown, or "" where it is not.
    """
    return f"Value{shown and ' '}{shown} at '{path}' failed to satisfy constraint: {rule}"


def quoted(value: object) -> str:
    """Return a value as a refusal shows it."""
    text = str(value)
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}..."
    return f"'{text}'"


def refuse(problems: Iterable[str]) -> None:
    """Raise `InvalidParameterValue` where there are problems; the text names the first ten."""
    found = list(islice(problems, _MOST_PROBLEMS + 1))
    if found:
        more = len(found) > _MOST_PROBLEMS
        found = found[:_MOST_PROBLEMS]
        count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected"
        count += ", and there are more" if more else ""
        raise InvalidParameterValue(f"{count}: {'; '.join(found)}")
