"""The file that says which functions to serve, in TOML or JSON, with the settings that Lambda has.

[functions.PlaceOrder]
handler = "orders.place:handler"
timeout = 60
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..client.settings import FunctionSettings, settings
from ..errors import InvalidConfiguration


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """One function. Times are in seconds, memory is in MiB. What is None is as for a runner."""

    name: str
    #: The handler as "module:attribute", or in Lambda's way as "module.attribute".
    handler: str
    #: The folder from which the handler's module is imported.
    code: Path | None = None
    timeout: float | None = None
    memory: int | None = None
    execution_timeout: float | None = None
    retention_days: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    log_format: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def module_and_attribute(self) -> tuple[str, str]:
        module, colon, attribute = self.handler.partition(":")
        if not colon:
            module, _, attribute = self.handler.replace("/", ".").rpartition(".")
        return module, attribute


_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ALIAS = re.compile(r"(?!\d+\Z)[a-zA-Z0-9_-]{1,128}")


def checked(where: str, config: FunctionConfig) -> FunctionConfig:
    """`config`; `InvalidConfiguration` if Lambda would not take it, or no process could have it."""
    if not _NAME.fullmatch(config.name):
        raise InvalidConfiguration(
            f"{where}: {config.name!r} is not a function's name; Lambda takes 1 to 64 letters, "
            "digits, - and _."
        )
    for alias in config.aliases:
        if not _ALIAS.fullmatch(alias):
            raise InvalidConfiguration(
                f"{where}: {alias!r} is not an alias; Lambda takes 1 to 128 letters, digits, - "
                "and _, and not digits alone."
            )
    if config.log_format not in (None, "JSON", "Text"):
        raise InvalidConfiguration(f"{where}: {config.log_format!r} is neither JSON nor Text.")
    try:
        settings(
            FunctionSettings(),
            execution_timeout=config.execution_timeout,
            invocation_timeout=config.timeout,
            memory=config.memory,
            env=config.environment,
        )
    except ValueError as error:
        raise InvalidConfiguration(f"{where}: {error}") from None
    return config


#: The types that a value may have, and what they are called.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "handler": ((str,), "a text"),
    "code": ((str,), "a path"),
    "timeout": ((int, float), "a number of seconds"),
    "memory": ((int,), "a number of MiB"),
    "execution_timeout": ((int, float), "a number of seconds"),
    "retention_days": ((int,), "a number of days"),
    "environment": ((dict,), "a table of texts"),
    "log_format": ((str,), '"JSON" or "Text"'),
    "aliases": ((list,), "a list of texts"),
}


def read(path: Path) -> list[FunctionConfig]:
    """The functions of a file; `InvalidConfiguration` says what is wrong and where."""
    try:
        data = path.read_bytes()
        found = json.loads(data) if path.suffix == ".json" else tomllib.loads(data.decode())
    except OSError as error:
        raise InvalidConfiguration(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise InvalidConfiguration(f"{path} is not {kind}: {error}.") from None
    except RecursionError:
        raise InvalidConfiguration(f"{path} is nested too deeply.") from None
    functions = found.get("functions") if isinstance(found, dict) else None
    if not isinstance(functions, dict) or not functions:
        raise InvalidConfiguration(f"{path} has no table [functions.NAME].")
    return [_function(path, name, given) for name, given in functions.items()]


def _function(path: Path, name: str, given: object) -> FunctionConfig:
    where = f"{path}, functions.{name}"
    if not isinstance(given, dict) or "handler" not in given:
        raise InvalidConfiguration(f"{where}: a handler is needed, as in module:attribute.")
    known = [each.name for each in fields(FunctionConfig)][1:]
    for key, value in given.items():
        if key not in known:
            raise InvalidConfiguration(
                f"{where}: {key!r} is not known; there are {', '.join(known)}."
            )
        kinds, wanted = _KINDS[key]
        if not isinstance(value, kinds) or isinstance(value, bool) or not _fits(key, value):
            raise InvalidConfiguration(f"{where}: {key} must be {wanted}, not {_shown(value)}.")
    chosen: dict[str, Any] = dict(given)
    if "code" in chosen:
        chosen["code"] = path.parent / chosen["code"]
    chosen["aliases"] = tuple(chosen.get("aliases", ()))
    return checked(where, FunctionConfig(name, **chosen))


def _shown(value: Any) -> str:
    return f"a {type(value).__name__}" if isinstance(value, dict | list) else f"{value!r:.100}"


def _fits(key: str, value: Any) -> bool:
    match key:
        case "environment":
            return all(isinstance(each, str) for each in value.values())
        case "aliases":
            return all(isinstance(each, str) for each in value)
        case "log_format":
            return value in ("JSON", "Text")
        case "handler" | "code":
            return bool(value)
        case _:
            return bool(value > 0)


def of_text(text: str) -> FunctionConfig:
    """The function of a text "name=module:handler"."""
    name, equals, handler = text.partition("=")
    if not (name and equals and handler):
        raise InvalidConfiguration(f"{text!r} is not of the form NAME=MODULE:HANDLER.")
    return checked(f"--function {text}", FunctionConfig(name, handler))
