"""Reads the text of a fault, which is the fault's serialised form.

    text   = what ["=" argument] "@" where [":" selector] [";times=" (number | "*")]

`str` of a `Fault` is the inverse.
"""

from __future__ import annotations

from dataclasses import fields

from ..errors import InvalidParameterValue
from .fault_places import AtEffect, AtOperation, AtRandom, AtTime, Numbered, Point, Where
from .faults import ALWAYS, SERVICE_ERRORS, WHATS, DelayReply, Exit, Fail, Fault, Raise, What

# pytest shows the line of the test that wrote the plan, not ours.
__tracebackhide__ = True


def parse(text: str) -> Fault:
    """Return the fault of a text such as "kill@after-commit:17"; raise `InvalidParameterValue` for
    a text that is not a fault's."""
    body, times = _cut(text.strip(), ";times=")
    what, at, where = body.partition("@")
    if not at:
        raise InvalidParameterValue(
            f"Fault {text!r} has no place: write it as WHAT@WHERE, like kill@after-commit:17."
        )
    return Fault(_parse_what(what), _parse_where(where), _parse_times(times, where))


def _parse_what(text: str) -> What:
    name, argument = _cut(text, "=")
    kind = WHATS.get(name)
    if kind is None:
        raise InvalidParameterValue(f"Unknown fault {name!r}: use one of {', '.join(WHATS)}.")
    if kind is Fail:
        if argument not in SERVICE_ERRORS:
            raise InvalidParameterValue(
                f"Unknown service error {argument!r}: write fail=CODE with one of "
                f"{', '.join(SERVICE_ERRORS)}."
            )
        return Fail(argument)
    if kind is Exit:
        return (
            Exit()
            if argument is None
            else Exit(_number(argument, "an exit code", least=0, most=255))
        )
    if kind is DelayReply:
        return DelayReply() if argument is None else DelayReply(_seconds(argument))
    if kind is Raise:
        return Raise() if argument is None else Raise(argument)
    if argument is not None:
        raise InvalidParameterValue(f"Fault {name!r} takes no argument, not {argument!r}.")
    return kind()  # type: ignore[call-arg] # those with a required one are above


def _parse_where(text: str) -> Where:
    name, selector = _cut(text, ":")
    pairs = dict(_cut(part, "=") for part in (selector or "").split(",") if part)
    match name:
        case "time":
            return AtTime(_seconds(selector or ""))
        case "random":
            probability, seed = _take(text, pairs, "seed")
            if not 0 < (chance := _seconds(probability)) <= 1:
                raise InvalidParameterValue(f"{text!r}: a probability is between 0 and 1.")
            return AtRandom(chance, _number(seed or "0", "a seed", least=0))
        case "effect" if not (selector or "").isdigit():
            effect, n = _take(text, pairs, "n")
            return AtEffect(effect, _number(n or "1", "n"))
    try:
        point = Point(name)
    except ValueError:
        known = ", ".join([*(each.value for each in Point), "random"])
        raise InvalidParameterValue(f"Unknown place {name!r}: use one of {known}.") from None
    if selector in (None, "*"):
        return Numbered(point)
    if "=" not in selector:
        return Numbered(point, _number(selector, f"the number of the {name}"))
    if point not in (Point.BEFORE_COMMIT, Point.AFTER_COMMIT):
        raise InvalidParameterValue(f"{text!r}: operations are only known at a commit.")
    return _parse_operation(text, point, pairs)


def _parse_operation(text: str, point: Point, pairs: dict[str, str | None]) -> AtOperation:
    known = {each.name for each in fields(AtOperation)} - {"point"}
    chosen: dict[str, str | int] = {}
    for key, value in pairs.items():
        if key not in known or not value:
            raise InvalidParameterValue(
                f"{text!r}: an operation is chosen by {', '.join(sorted(known))}, not {key!r}."
            )
        chosen[key] = _number(value, key) if key in ("attempt", "n") else value
    return AtOperation(point, **chosen)  # type: ignore[arg-type]


def _take(text: str, pairs: dict[str, str | None], key: str) -> tuple[str, str | None]:
    """Return the only selector that is not a pair, and the value of `key`."""
    value = pairs.pop(key, None)
    if len(pairs) != 1 or next(iter(pairs.values())) is not None:
        raise InvalidParameterValue(f"{text!r} is not of the form WHERE:VALUE[,{key}=VALUE].")
    return next(iter(pairs)), value


def _parse_times(text: str | None, where: str) -> int:
    if text is None:
        return ALWAYS if where.startswith("random") else 1
    return ALWAYS if text == "*" else _number(text, "times")


def _cut(text: str, separator: str) -> tuple[str, str | None]:
    head, found, tail = text.partition(separator)
    return head, tail if found else None


def _number(text: str, what: str, least: int = 1, most: int = 10**9) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        limits = f"from {least} to {most}" if most < 10**9 else f"from {least} on"
        raise InvalidParameterValue(f"{text!r} is not {what}: a whole number {limits}.")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 10**9:
        raise InvalidParameterValue(f"{text!r} is not a number of 0 or more.")
    return value
