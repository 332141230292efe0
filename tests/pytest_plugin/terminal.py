"""pytest, or another command, at a terminal, with somebody who types."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

#: Seconds after which what should come counts as missing.
_LIMIT = 40
_PYTEST = (sys.executable, "-m", "pytest", "-pno:cacheprovider")


class Terminal:
    """A command that runs in a folder, with a pseudo-terminal around it."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        command: Sequence[str] = _PYTEST,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._keys, screen = pty.openpty()
        self.process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=screen,
            stdout=screen,
            stderr=screen,
            # The terminal is the session's, as a shell's is.
            start_new_session=True,
        )
        os.close(screen)
        self.shown = ""
        self._seen = 0

    def until(self, text: str) -> str:
        """Wait until `text` is shown, and return all that was new up to it."""
        while (place := self.shown.find(text, self._seen)) < 0:
            assert self._look(), f"{text!r} never came:\n{self.shown}"
        begin, self._seen = self._seen, place + len(text)
        return self.shown[begin : self._seen]

    def type(self, line: str) -> None:
        os.write(self._keys, f"{line}\n".encode())

    def ends(self) -> int:
        """Wait for the end, and return the exit code."""
        while self._look():
            pass
        return self.process.wait(_LIMIT)

    def _look(self) -> bool:
        assert select.select([self._keys], [], [], _LIMIT)[0], f"Nothing comes:\n{self.shown}"
        try:
            data = os.read(self._keys, 4096)
        except OSError:
            # Nobody has the other end any more.
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._keys)
