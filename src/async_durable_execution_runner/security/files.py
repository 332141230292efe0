"""Files with secrets, which may also come as descriptors that are open: "/dev/fd/3"."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path


def descriptor(path: str | Path) -> int | None:
    """Return the descriptor that a path stands for, None where it is that of a file."""
    found = re.fullmatch(r"/dev/fd/(\d+)", str(path))
    return int(found[1]) if found else None


def content(path: str | Path) -> bytes:
    """Return what is in a file. Where it came as a descriptor, this process may have no right to
    open it."""
    number = descriptor(path)
    if number is None:
        return Path(path).read_bytes()
    with os.fdopen(os.dup(number), "rb") as file:
        # A pipe or a socket can be read only once.
        with suppress(OSError):
            file.seek(0)
        return file.read()
