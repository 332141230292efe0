"""What a client or a worker host brings to a coordinator on another machine, as options of the
command line or variables of the environment say where it is."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidConfiguration
from ..rpc import OURS, TOKEN_VARIABLE, is_local
from .credentials import token_of
from .files import descriptor
from .tls import Tls

_logger = logging.getLogger(__name__)

_OPTIONS = {
    "token_file": "the token, in the file's first line",
    "ca_file": "the authorities that sign the coordinator's certificate, in PEM: it speaks TLS",
    "cert_file": "the certificate to show, in PEM, where the coordinator wants one",
    "key_file": "the key of that certificate, in PEM",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller shows. The token is "" where its certificate says who calls."""

    token: str
    tls: Tls | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `read` reads."""
    for name, what in _OPTIONS.items():
        parser.add_argument(
            _flag(name),
            default="",
            metavar="FILE",
            help=f"{what} (default: ${OURS}{name.upper()})",
        )
    parser.add_argument(
        "--insecure-plaintext",
        action="store_true",
        help="speak no TLS with another machine: everybody between can read the token",
    )


def arguments(given: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Return the options that were given, or that variables stand in for, as they stand on the
    command line of a process that has another working folder and no such variables."""
    paths = _paths(given, environment)
    made = [f"{_flag(name)}={os.path.abspath(path)}" for name, path in paths.items() if path]
    return [*made, "--insecure-plaintext"] if _is_plaintext(given, environment) else made


def read(address: str, given: Mapping[str, Any], environment: Mapping[str, str]) -> Access:
    """Read what the caller is to bring to the coordinator at an address.

    Args:
        address: The address as gRPC wants it.
        given: The values of the options by their names, "token_file" and so on.
        environment: The variables that stand in for options that are not given.

    Raises:
        InvalidConfiguration: Nothing says who calls, a file cannot be read, or plaintext would go
            to another machine.
    """
    paths = _paths(given, environment)
    tls = None
    if paths["ca_file"]:
        tls = Tls.read(paths["ca_file"], paths["cert_file"], paths["key_file"])
    elif paths["cert_file"] or paths["key_file"]:
        raise InvalidConfiguration("A certificate was given, but no --ca-file: TLS needs one.")
    elif not is_local(address) and not _is_plaintext(given, environment):
        raise InvalidConfiguration(
            f"{address} is not on this machine, and without TLS the token would travel in the "
            f"clear: say --ca-file or {OURS}CA_FILE, or if that is meant --insecure-plaintext or "
            f"{OURS}INSECURE_PLAINTEXT=1."
        )
    token = token_of(environment, paths["token_file"], TOKEN_VARIABLE)
    if not token and not (tls and tls.certificate):
        raise InvalidConfiguration(
            f"{TOKEN_VARIABLE} is not set: it must hold the token of the coordinator at {address}, "
            f"or {TOKEN_VARIABLE}_FILE the path of a file with it."
        )
    return Access(token, tls)


class Files:
    """The files of a caller that stays, which may have others in place of them while it runs."""

    def __init__(self, address: str, given: Mapping[str, Any]) -> None:
        """Take them from the options that `read` has read. Descriptors are closed by now."""
        self._address = address
        self._given = {
            name: value
            for name, value in given.items()
            if name not in _OPTIONS or descriptor(value) is None
        }
        own = [name for name in ("token_file", "cert_file", "key_file") if given.get(name)]
        #: Those that say who calls.
        self.own = [given[name] for name in own if name in self._given]
        self._is_fixed = "token_file" not in own and len(self.own) < len(own)

    def now(self, had: Access) -> Access:
        """Return what they hold now; what the caller had where one is not whole, or can be read
        only once."""
        paths = filter(None, _paths(self._given, {}).values())
        if self._is_fixed or not all(map(os.path.isfile, paths)):
            return had
        try:
            return read(self._address, self._given, {TOKEN_VARIABLE: had.token})
        except InvalidConfiguration as error:
            _logger.warning("%s What was read before stays good.", error)
            return had


def descriptors(given: Mapping[str, Any], environment: Mapping[str, str]) -> list[int]:
    """Return the descriptors among the files."""
    found = map(descriptor, _paths(given, environment).values())
    return [each for each in found if each is not None]


def _paths(given: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: given.get(name) or environment.get(f"{OURS}{name.upper()}", "") for name in _OPTIONS
    }


def _is_plaintext(given: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    return bool(
        given.get("insecure_plaintext") or environment.get(f"{OURS}INSECURE_PLAINTEXT") == "1"
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
