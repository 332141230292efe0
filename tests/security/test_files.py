"""What is read where a path stands for a descriptor."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from async_durable_execution_runner.security.files import content


def test_a_descriptor_is_read_that_cannot_be_opened() -> None:
    """As one cannot be that belongs to another user."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"secret")
        there.shutdown(socket.SHUT_WR)
        assert content(f"/dev/fd/{here.fileno()}") == b"secret"


def test_a_descriptor_of_a_file_is_read_from_its_beginning_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"secret")
    number = os.open(path, os.O_RDONLY)
    try:
        assert content(f"/dev/fd/{number}") == content(f"/dev/fd/{number}") == content(path)
    finally:
        os.close(number)
