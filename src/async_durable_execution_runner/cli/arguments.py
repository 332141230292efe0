"""What may stand in an argument of a command: types for argparse, which says what is wrong with an
argument and exits with 2."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..core.limits import DURATION_SECONDS
from ..core.text import load_json

#: How the region and the endpoint are given to commands that ask Lambda.
REGION_AND_ENDPOINT = ("--region", "--endpoint")
_MOST = 9999


class Parser(ArgumentParser):
    """A parser of a command's arguments, which names an option that it does not have before it
    takes the option's value for something else."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Namespace, list[str]]:
        # A shell that completes an option has half of it.
        if args is not None and self._subparsers is None and "_ARGCOMPLETE" not in os.environ:
            for text in args:
                if text == "--":
                    break
                self._check_option(text.partition("=")[0])
        return super().parse_known_args(args, namespace)

    def _check_option(self, name: str) -> None:
        known = self._option_string_actions
        if not name.startswith("--") or any(each.startswith(name) for each in known):
            return
        near = get_close_matches(name, known, 1)
        self.error(f"there is no option {name}{f': did you mean {near[0]}?' if near else ''}")


def json_text(text: str) -> str:
    """The text of a JSON document, as it stands."""
    try:
        load_json(utf8(text))
    except (ValueError, RecursionError) as error:
        raise ArgumentTypeError(f"this is not JSON: {error}") from None
    return text


def payload(text: str) -> str:
    """An input as a JSON document: JSON as it stands, any other text as a JSON string, `@FILE` for
    what a file holds, and `-` for what standard input holds."""
    try:
        if text == "-":
            return json_text(sys.stdin.read())
        if text.startswith("@"):
            return json_text(Path(text[1:]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"{text} cannot be read: {error}") from None
    # A slip in an object, or a number that JSON does not have, must not become a text.
    if text.lstrip().startswith(("{", "[", '"', "NaN", "Infinity", "-Infinity")):
        return json_text(text)
    try:
        return json_text(text)
    except ArgumentTypeError:
        return json.dumps(utf8(text))


def utf8(text: str) -> str:
    """A text that can be sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"{text!r} is not UTF-8") from None
    return text


def count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= _MOST:
        raise ArgumentTypeError(f"a whole number from 1 to {_MOST} is needed, not {text!r}")
    return number


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise ArgumentTypeError(f"a port is needed, from 0 (any) to 65535, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    # NaN is not between them either.
    if not 0 < number <= DURATION_SECONDS:
        raise ArgumentTypeError(
            f"a number of seconds is needed, above 0 and not above {DURATION_SECONDS}, not {text!r}"
        )
    return number


def url(text: str) -> str:
    """The URL of a server."""
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ArgumentTypeError(f"a URL is needed, as in http://127.0.0.1:9001, not {text!r}")
    return text


def listening(text: str) -> str:
    """The address at which a coordinator is to listen; port 0 stands for any that is free."""
    host, _, number = text.rpartition(":")
    if text.startswith("unix:") or (host and port(number) >= 0):
        return text
    raise ArgumentTypeError(f"an address is needed, as in 127.0.0.1:7000, not {text!r}")


def tcp(text: str) -> str:
    """The same, but for a Unix socket."""
    if text.startswith("unix:"):
        raise ArgumentTypeError(f"a host and a port are needed, as in 127.0.0.1:9464, not {text!r}")
    return listening(text)


def address(text: str) -> str:
    """The address at which a coordinator listens."""
    if listening(text).endswith(":0") and not text.startswith("unix:"):
        raise ArgumentTypeError(f"an address is needed, as in 127.0.0.1:7000, not {text!r}")
    return text


def pair(text: str) -> tuple[str, str]:
    """The two halves of "name=value"."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"a name and a value are needed, as in NAME=VALUE, not {text!r}")
    return name, value


def handler(text: str) -> str:
    """A handler as "module:handler"."""
    if not all(text.partition(":")):
        raise ArgumentTypeError(f"a handler is needed, as in MODULE:HANDLER, not {text!r}")
    return text
