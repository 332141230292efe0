"""What each caller of the coordinator has to bring, and what it may then call.

Clients, which register code, bring one token, and worker hosts bring another, which is good for
nothing but to be given workers to start; or both show a certificate that names their role. A
worker's credential is made of the worker's id and a key that only this coordinator has; so nothing
is kept for it, and a worker that was given up long ago is still known when it calls.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Flag, auto

from ..errors import InvalidConfiguration
from ..rpc import WORKER_ID
from .files import content

_logger = logging.getLogger(__name__)

_SERVICES = "/async_durable_execution_runner.rpc.v1."

Metadata = Iterable[tuple[str, str | bytes]]
Tokens = Callable[[], Collection[bytes]]
"""Returns the tokens that are good now."""


class Role(Flag):
    """Who a caller is. One who shows nothing that is good is nobody."""

    NOBODY = 0
    CLIENT = auto()
    WORKER_HOST = auto()
    WORKER = auto()


#: The names by which a certificate gives its holder a role, among its subject's other names.
CERTIFIED = {
    b"durable-runner:client": Role.CLIENT,
    b"durable-runner:worker-host": Role.WORKER_HOST,
}

#: Who may make a call. An inline worker is a part of a client.
_WORKERS_CALLS = Role.WORKER | Role.CLIENT
_RIGHTS = {
    f"{_SERVICES}WorkerService/Supervise": Role.WORKER_HOST,
    f"{_SERVICES}WorkerService/Session": _WORKERS_CALLS,
    f"{_SERVICES}WorkerService/Checkpoint": _WORKERS_CALLS,
    f"{_SERVICES}WorkerService/RecordEffect": _WORKERS_CALLS,
    f"{_SERVICES}DebugService/Stop": _WORKERS_CALLS,
}


class Credentials:
    def __init__(self, clients: Tokens, hosts: Tokens) -> None:
        """Know callers by these tokens, and workers by credentials of this coordinator's own.

        Args:
            clients: What clients bring.
            hosts: What worker hosts bring.
        """
        self._tokens = ((clients, Role.CLIENT), (hosts, Role.WORKER_HOST))
        self._key = secrets.token_bytes(32)

    def of(self, worker_id: str) -> str:
        """Return the credential of a worker."""
        return hmac.digest(self._key, worker_id.encode(), "sha256").hex()

    def roles(self, metadata: Metadata) -> Role:
        """Return who a caller is by what it brings."""
        brought = dict(metadata)
        given = _given(brought).removeprefix(b"Bearer ")
        roles = Role.WORKER if self.worker(brought.items()) else Role.NOBODY
        for tokens, role in self._tokens:
            # All are compared: the time tells nothing of a token.
            for token in tokens():
                roles |= role if hmac.compare_digest(given, token) else Role.NOBODY
        return roles

    def worker(self, metadata: Metadata) -> str:
        """Return the id of the worker that the caller may speak for, and for no other; "" for a
        caller who has no worker's credential."""
        brought = dict(metadata)
        worker_id = str(brought.get(WORKER_ID, ""))
        expected = f"Bearer {self.of(worker_id)}".encode()
        return worker_id if hmac.compare_digest(_given(brought), expected) else ""


def may_call(roles: Role, method: str) -> bool:
    """Return whether someone with these roles may make a call, named as gRPC has it."""
    return bool(roles & _RIGHTS.get(method, Role.CLIENT))


def certified(names: Collection[bytes]) -> Role:
    """Return who a caller is by the names in its certificate."""
    roles = Role.NOBODY
    for name in names:
        roles |= CERTIFIED.get(name, Role.NOBODY)
    return roles


def fixed(token: str) -> Tokens:
    """Return what is good as long as the process lives."""
    tokens = (token.encode(),) if token else ()
    return lambda: tokens


class TokenFile:
    """The tokens in a file, one to a line, as the file is now: tokens are changed by adding the new
    one, giving it to everybody, and removing the old one."""

    def __init__(self, path: str) -> None:
        """Read the file.

        Raises:
            InvalidConfiguration: It cannot be read, or holds no token, or others can write to it.
        """
        self._path = path
        self._read_as: tuple[int, ...] = ()
        self._tokens = self._read()

    def __call__(self) -> Collection[bytes]:
        try:
            self._tokens = self._read()
        except InvalidConfiguration as error:
            # The next look may find it whole again.
            self._read_as = ()
            _logger.warning("%s The tokens that it had stay good.", error)
        return self._tokens

    def _read(self) -> tuple[bytes, ...]:
        try:
            status = os.stat(self._path)
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version == self._read_as:
                return self._tokens
            lines = content(self._path).splitlines()
            tokens = tuple(line.strip() for line in lines if line.strip())
        except OSError as error:
            raise InvalidConfiguration(
                f"The token file {self._path} cannot be read: {error.strerror}."
            ) from None
        if not tokens:
            raise InvalidConfiguration(f"The token file {self._path} holds no token.")
        self._read_as = version
        return tokens


def token_of(environment: Mapping[str, str], token_file: str, variable: str) -> str:
    """Return what a caller is to bring: the first line of a file or, without one, of a variable of
    the environment; "" where there is neither.

    Args:
        environment: Where the variable is.
        token_file: The path of the file; "" for none.
        variable: The name of the variable.

    Raises:
        InvalidConfiguration: The file cannot be read, or holds no token.
    """
    if token_file:
        return next(iter(TokenFile(token_file)())).decode("ascii", "replace")
    # A variable that was made of a file has the file's line breaks.
    return next(iter(environment.get(variable, "").split()), "")


def _given(metadata: Mapping[str, str | bytes]) -> bytes:
    given = metadata.get("authorization", "")
    return given if isinstance(given, bytes) else given.encode()
