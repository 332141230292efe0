"""How a secret gets from one process to another."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from async_durable_execution_runner.security import secrecy


@pytest.fixture
def off_the_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test process that keeps its own tests off the network, in two ways."""

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("A test tried to use socket.socket.")

    monkeypatch.setattr(socket, "socket", refuse)
    socket.setdefaulttimeout(0.001)
    yield
    socket.setdefaulttimeout(None)


@pytest.mark.usefixtures("off_the_network")
def test_a_secret_can_be_told_where_tests_are_kept_off_the_network() -> None:
    descriptor = secrecy.tell("secret", "unix:/s")
    assert os.get_blocking(descriptor)
    assert secrecy.read(descriptor) == ("secret", "unix:/s", None)
    assert secrecy.read(descriptor) is None
    os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into Linux's /proc")
def test_nobody_else_can_open_what_a_secret_comes_through() -> None:
    """A pipe could be opened there by every process of the same user."""
    descriptor = secrecy.tell("secret", "unix:/s")
    with pytest.raises(OSError, match="No such device or address"):
        os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
    os.close(descriptor)
