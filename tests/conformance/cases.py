"""The requirement files, read where they lie; nothing of them is copied into this repository.

`CONFORMANCE_SUITE` names their folder; without it, `shared/conformance` beside the checkout. Where
that is missing, the tests that need it are not collected.
"""

from __future__ import annotations

import os
import random
import re
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SUITE = Path(
    os.environ.get("CONFORMANCE_SUITE")
    or Path(__file__).parents[3].joinpath("shared", "conformance")
)

_GENERATED = re.compile(r"\$\{GEN_STR:(\d+)\}")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Case:
    """One requirement, its generated variables already in place."""

    area: str
    id: str
    input: Any
    #: None: it is over as soon as the history is as expected.
    result: dict[str, Any] | None
    history: list[dict[str, Any]]
    #: Over HTTP an Event invocation, where the others are RequestResponse.
    asynchronous: bool = False
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.area}-{self.id}"


def read(path: Path) -> Case:
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    # The same strings in every run: a failure can be looked at again.
    chance = random.Random(path.stem)
    variables = {
        name: _GENERATED.sub(lambda match: _letters(chance, int(match[1])), value)
        for name, value in text.get("Variables", {}).items()
    }
    text = fill(text, variables)
    return Case(
        area=path.parent.name,
        id=path.stem,
        input=text["Input"],
        result=text.get("ExpectedResult"),
        history=text["ExpectedExecutionHistory"],
        asynchronous=text.get("AsyncInvoke", False),
        callbacks=text.get("CallbackActions", []),
        logs=text.get("ExpectedLogs", []),
    )


def published() -> list[Case]:
    """All but those of the OpenTelemetry plugin, whose assertions are on spans, which are not
    read here."""
    paths = [path for path in SUITE.glob("*/*.yaml") if not path.stem.startswith("otel-")]
    paths.sort(key=lambda path: [int(n) for n in path.stem.split("-")])
    return [read(path) for path in paths]


def fill(value: Any, variables: dict[str, Any]) -> Any:
    """`value` with every `${NAME}` that is in `variables` replaced, in the midst of text too."""
    match value:
        case dict():
            return {key: fill(each, variables) for key, each in value.items()}
        case list():
            return [fill(each, variables) for each in value]
        case str():
            return _VARIABLE.sub(lambda match: str(variables.get(match[1], match[0])), value)
        case _:
            return value


def _letters(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(string.ascii_lowercase + string.digits, k=count))
