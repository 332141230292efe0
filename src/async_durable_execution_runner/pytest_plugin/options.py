"""The options of the command line, and the ini values of the same names.

What a marker, or a call in a test, says wins over the command line, which wins over the ini file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

_YES = ("1", "true", "yes", "on")
_ADDRESS = re.compile(r"unix:.+|.+:\d+")
_NO = ("0", "false", "no", "off")


@dataclass(frozen=True)
class _Option:
    """`--durable-NAME` and `durable_NAME`; for an option of a runner, NAME is its keyword too."""

    name: str
    help: str
    metavar: str = ""
    kind: type = str
    choices: tuple[str, ...] = ()
    of_runner: bool = False
    is_port: bool = False
    is_address: bool = False

    @property
    def ini(self) -> str:
        return f"durable_{self.name}"

    @property
    def flag(self) -> str:
        return f"--{self.ini.replace('_', '-')}"

    def value(self, text: Any) -> Any:
        """What the text says; `ValueError`, with what it should say, where that is nonsense."""
        if self.choices and text not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)}")
        if self.kind is bool and not isinstance(text, bool):
            if text.lower() not in (*_YES, *_NO):
                raise ValueError("true or false")
            return text.lower() in _YES
        try:
            value = self.kind(text)
        except ValueError:
            raise ValueError("a whole number" if self.kind is int else "a number") from None
        if self.is_port and value not in range(65536):
            raise ValueError("a port, from 0 to 65535")
        if self.is_address and value and not _ADDRESS.fullmatch(value):
            raise ValueError("an address, as in coordinator.example:7000")
        if self.kind in (int, float) and not (self.is_port or value > 0):
            raise ValueError("more than 0")
        return value


_OPTIONS = (
    _Option(
        "mode",
        "Where fixtures run handlers: in worker processes, or where they are deployed.",
        choices=("local", "cloud"),
    ),
    _Option(
        "workers",
        "How many worker processes a fixture's runner uses; in a session of pytest-xdist also the "
        "most that there are. By default one for each processor.",
        "N",
        int,
        of_runner=True,
    ),
    _Option(
        "isolation",
        "How invocations are kept apart by the runners of fixtures.",
        choices=("worker", "execution", "invocation", "inline"),
        of_runner=True,
    ),
    _Option(
        "skip_time",
        "Whether waits take no real time in the runners of fixtures (true or false).",
        "BOOL",
        bool,
        of_runner=True,
    ),
    _Option(
        "execution_timeout",
        "Seconds on its own clock that an execution may take, for the runners of fixtures.",
        "SECONDS",
        float,
        of_runner=True,
    ),
    _Option(
        "invocation_timeout",
        "Seconds of real time that an invocation may take, for the runners of fixtures.",
        "SECONDS",
        float,
        of_runner=True,
    ),
    _Option(
        "debug",
        "Have breakpoint() in a handler wait for a debugger that connects to this port of this "
        "machine (0 for any that is free) and say so, as it does under pytest-xdist.",
        "PORT",
        int,
        is_port=True,
    ),
    _Option(
        "coordinator",
        "Where a coordinator runs already, with worker hosts of its own, for all runners that name "
        "none; by default the environment variable DURABLE_RUNNER_COORDINATOR.",
        "HOST:PORT",
        is_address=True,
    ),
    _Option("endpoint", "Where Lambda is, in cloud mode.", "URL"),
    _Option("region", "Where the functions are, in cloud mode.", "REGION"),
)
_BY_NAME = {each.name: each for each in _OPTIONS}


def add(parser: pytest.Parser) -> None:
    group = parser.getgroup("durable functions")
    for each in _OPTIONS:
        shape: dict[str, Any] = {"metavar": each.metavar} if each.metavar else {}
        group.addoption(each.flag, choices=each.choices or None, help=each.help, **shape)
        # A TOML file may have the number itself from pytest 8.4 on.
        with_numbers = each.kind is bool or pytest.version_tuple >= (8, 4)
        kind: Any = each.kind.__name__ if with_numbers and each.kind is not str else "string"
        parser.addini(each.ini, each.help, type=kind, default=None)
    group.addoption(
        "--durable-replay",
        action="store_true",
        help="Replay every execution after each of its checkpoints, and fail a test whose handler "
        "does not stand that.",
    )
    group.addoption(
        "--durable-explore",
        action="store_true",
        help="After each test with the marker durable has passed, run again what it ran through "
        "its fixture, with the worker killed at every moment in turn.",
    )


def check(config: pytest.Config) -> None:
    """`UsageError` where an option makes no sense."""
    for each in _OPTIONS:
        value(config, each.name)
    if is_cloud(config):
        for flag in ("--durable-replay", "--durable-explore"):
            if config.getoption(flag):
                raise pytest.UsageError(
                    f"{flag} kills workers of one's own: leave it out in cloud mode."
                )


def value(config: pytest.Config, name: str) -> Any:
    """What the command line says, or else the ini file; None where neither says anything."""
    option = _BY_NAME[name]
    text, where = config.getoption(option.flag), option.flag
    if text is None:
        where = f"{option.ini} in {config.inipath}"
        try:
            text = config.getini(option.ini)
        except (pytest.UsageError, TypeError, ValueError) as error:
            raise pytest.UsageError(f"{where}: {error}") from None
    if text is None:
        return None
    try:
        return option.value(text)
    except ValueError as error:
        raise pytest.UsageError(f"{where}: {text!r} is not {error}.") from None


def is_cloud(config: pytest.Config) -> bool:
    return bool(value(config, "mode") == "cloud")


def of_runner(config: pytest.Config) -> dict[str, Any]:
    """The options of `DurableFunctionTestRunner` that the command line or the ini file give."""
    given = {each.name: value(config, each.name) for each in _OPTIONS if each.of_runner}
    return {name: chosen for name, chosen in given.items() if chosen is not None}
