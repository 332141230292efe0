"""How a process is told its secret, and how it keeps the secret from other processes.

A secret is never in an environment or on a command line, which every process of the same user can
read, but comes through a socket: one line with the secret, the address that it is for, and what is
needed for TLS there. A pipe
would not do, as every process of the same user can open one that it finds in `/proc/PID/fd`.
Whoever forks a process that must not have the secret reads that line after the fork.
"""

from __future__ import annotations

import _socket
import json
import os
import sys
from dataclasses import astuple

from .tls import Tls

_PR_SET_DUMPABLE = 4


def line(secret: str, address: str, tls: Tls | None = None) -> bytes:
    """Return the line that tells a process its secret, the coordinator's address, and how TLS is
    spoken there, if it is."""
    return json.dumps([secret, address, *(astuple(tls) if tls else ())]).encode() + b"\n"


def pair() -> tuple[int, int]:
    """Return the descriptors of two sockets that are connected with each other."""
    # Tests replace what is in `socket`, or set its default timeout, to keep off the network.
    one, other = _socket.socketpair()
    one.setblocking(True)
    other.setblocking(True)
    return one.detach(), other.detach()


def tell(secret: str, address: str, tls: Tls | None = None) -> int:
    """Return a descriptor from which a process can read its line once."""
    told, telling = pair()
    os.write(telling, line(secret, address, tls))
    os.close(telling)
    return told


def read(fd: int) -> tuple[str, str, Tls | None] | None:
    """Read a secret, an address and what TLS needs from `fd`, and no more than their line; None
    where the other end was closed before."""
    said = b""
    while not said.endswith(b"\n"):
        piece = os.read(fd, 1)
        if not piece:
            return None
        said += piece
    secret, address, *tls = json.loads(said)
    return secret, address, Tls(*tls) if tls else None


def shield() -> None:
    """Have the system refuse other processes of the user a look at the memory, the environment and
    the descriptors of this process, where that can be asked for: on Linux. What this process forks
    is shielded too."""
    _set_dumpable(0)


def unshield() -> None:
    """Let debuggers look into this process again, and the system write core files of it."""
    _set_dumpable(1)


def _set_dumpable(value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, value, 0, 0, 0)
