"""What a client or a worker host brings to a coordinator on another machine, as options of the
command line or variables of the environment say where it is."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidConfiguration
from ..rpc import OURS, TOKEN_VARIABLE, is_local
from .credentials import token_of
from .tls import Tls

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


def arguments(given: Mapping[str, Any]) -> list[str]:
    """Return the options that were given, as they stand on a command line."""
    made = [text for name in _OPTIONS if given[name] for text in (_flag(name), given[name])]
    return [*made, "--insecure-plaintext"] if given["insecure_plaintext"] else made


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
    paths = {
        name: given.get(name) or environment.get(f"{OURS}{name.upper()}", "") for name in _OPTIONS
    }
    tls = None
    if paths["ca_file"]:
        tls = Tls.read(paths["ca_file"], paths["cert_file"], paths["key_file"])
    elif paths["cert_file"] or paths["key_file"]:
        raise InvalidConfiguration("A certificate was given, but no --ca-file: TLS needs one.")
    elif not is_local(address) and not (
        given.get("insecure_plaintext") or environment.get(f"{OURS}INSECURE_PLAINTEXT") == "1"
    ):
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


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
