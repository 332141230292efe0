"""Comparison with what a requirement expects, by the rules of the suite that it is from."""

from __future__ import annotations

import json
import re
from typing import Any

from .cases import fill

_WHOLE = re.compile(r"\$\{(\w+)\}")
_SEARCH = re.compile(r"\$\{/(.*)/\}", re.DOTALL)


class Bindings(dict[str, Any]):
    """The values that `${NAME}`s stand for, bound when first seen."""


def problems(expected: Any, actual: Any, names: Bindings, where: str = "") -> list[str]:
    """What of `actual` is not as expected, a line for each. Keys not named are not looked at."""
    if expected == "*" or expected == {}:
        return []
    if isinstance(expected, str) and (match := _WHOLE.fullmatch(expected)):
        bound = names.setdefault(match[1], actual)
        return [] if bound == actual else [f"{where}: {actual!r}, not {bound!r} ({expected})"]
    if isinstance(expected, str) and (match := _SEARCH.fullmatch(expected)):
        found = re.search(match[1], _text(actual))
        return [] if found else [f"{where}: {actual!r} has no {expected}"]
    if isinstance(expected, dict) and isinstance(actual, dict):
        found_in_members = []
        for key, value in expected.items():
            if key in actual:
                found_in_members += problems(value, actual[key], names, f"{where}.{key}")
            else:
                found_in_members.append(f"{where}.{key} is missing")
        return found_in_members
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [line for n, (a, b) in pairs for line in problems(a, b, names, f"{where}[{n}]")]
    same = type(expected) is type(actual) and expected == actual
    return [] if same else [f"{where}: {actual!r}, not {expected!r}"]


def history_problems(
    expected: list[dict[str, Any]], events: list[dict[str, Any]], names: Bindings
) -> list[str]:
    """Events are paired by their ids; those that are not expected are not looked at."""
    by_id = {event["EventId"]: event for event in events}
    found = []
    for event in expected:
        label = f"{event['EventId']} {event['EventType']}"
        actual = by_id.get(event["EventId"])
        if actual is None:
            found.append(f"{label} is missing")
        else:
            found += problems(event, actual, names, label)
    return found


def log_problems(
    expected: list[dict[str, Any]], records: list[dict[str, Any]], names: Bindings
) -> list[str]:
    """Each expectation counts the records that match it; `after` names earlier ones."""
    found = []
    for expectation in fill(expected, names):
        places = _places(expectation["match"], records)
        label = json.dumps(expectation["match"])
        exact = expectation.get("count")
        low = expectation.get("min_count", 0 if exact is None else exact)
        high = expectation.get("max_count", exact)
        if len(places) < low or (high is not None and len(places) > high):
            found.append(f"{len(places)} records are {label}, not {low} to {high}")
        for other in expectation.get("after", []):
            before = _places(other, records)
            if places and not (before and before[0] < places[0]):
                found.append(f"no record {json.dumps(other)} comes before {label}")
    return found


def _places(match: dict[str, Any], records: list[dict[str, Any]]) -> list[int]:
    return [
        place
        for place, record in enumerate(records)
        if all(key in record and _is(value, record[key]) for key, value in match.items())
    ]


def _is(expected: Any, actual: Any) -> bool:
    if isinstance(expected, str) and len(expected) > 1 and expected[0] == expected[-1] == "/":
        return re.search(expected[1:-1], _text(actual)) is not None
    return type(expected) is type(actual) and bool(expected == actual)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
