"""`ChildProcess`: a process of this package that another one starts, watches and explains."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import IO

from .. import log
from ..rpc import TOKEN_VARIABLE
from ..security import secrecy

#: Seconds that a process has to end once its lifeline was cut.
STOP_TIMEOUT = 2.0
_PACKAGE = __name__.partition(".")[0]


class ChildProcess:
    """One process of this package: its lifeline, its end, and the last that the process wrote."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        first_line: bytes = b"",
        level: str = "",
        shown: bool = False,
        environment: Mapping[str, str] = os.environ,
        ended: Callable[[ChildProcess], None] = lambda _: None,
    ) -> None:
        """Start a process.

        Args:
            module: The module of this package that the process runs.
            arguments: The arguments of the process.
            first_line: What the process reads from its standard input first.
            level: What the process logs, which then goes to the standard error of this process
                with all else that it writes there; "" for nothing.
            shown: Whether what it writes goes to the standard error of this process anyhow.
            environment: What the process finds in its environment beside these.
            ended: Is called, on a thread of its own, when the process has ended.
        """
        self._ended = threading.Event()
        self._words = ""
        #: What has been read of lines that nobody has asked for yet.
        self._read = b""
        # The file is unlinked from the start: nothing stays on disk, however this process ends.
        self._stderr = None if level or shown else _nameless_file()
        # A handler can open a pipe that it finds in `/proc` among the descriptors of its own user's
        # processes, and so read the token there or hold the lifeline; but it cannot open a socket.
        write_end, stdin = secrecy.pair()
        read_end, stdout = secrecy.pair()
        self._stdin, self._stdout = FileIO(write_end, "wb"), FileIO(read_end, "rb")
        # `-P`, as a module in the current directory must not shadow one of this package. A session
        # of its own, as Ctrl-C is for the test process, which then takes the cluster down.
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{_PACKAGE}.{module}", *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=self._stderr,
                env=_environment(environment, level),
                start_new_session=True,
            )
        except BaseException:
            self.cut_lifeline()
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        # A process that has ended already says why when it is waited for.
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(first_line)

        def wait() -> None:
            self._process.wait()
            self._ended.set()
            ended(self)

        threading.Thread(target=wait, name=f"durable-{module}-wait", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the end of the process; whether it has ended."""
        return self._ended.wait(timeout)

    def read_line(self, timeout: float) -> str:
        """The next line of the process's standard output; empty if the process ended or took
        longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        line = self._read
        with selectors.DefaultSelector() as readable:
            readable.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in line:
                left = deadline - time.monotonic()
                if left <= 0 or not readable.select(left):
                    return ""
                piece = os.read(self._stdout.fileno(), 1000)
                if not piece:
                    return ""
                line += piece
        line, _, self._read = line.partition(b"\n")
        return line.decode(errors="replace").strip()

    def epitaph(self) -> str:
        """How the process ended, and what it wrote last: "was ended by SIGKILL and wrote no
        error"."""
        code = self._process.returncode
        if code is None:
            how = f"runs (pid {self.pid})"
        elif code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"exited with code {code}"
        if self._stderr is None:
            return f"{how} (what it wrote is on standard error)"
        words = self._last_words()
        return f"{how}; its last output was:\n{words}" if words else f"{how} and wrote no error"

    def cut_lifeline(self) -> None:
        self._stdin.close()
        self._stdout.close()

    def end(self) -> None:
        """Cut the lifeline and wait until the process has ended, by force where it does not."""
        self.cut_lifeline()
        if not self.wait(STOP_TIMEOUT):
            self._process.kill()
            self._ended.wait()
        self._words = self._last_words()
        if self._stderr is not None:
            self._stderr.close()

    def abandon(self) -> None:
        """Let go of the lifeline, in a fork of the parent: the process is not a child of the
        fork."""
        self.cut_lifeline()
        self._process.returncode = 0

    def _last_words(self, lines: int = 8) -> str:
        if self._stderr is None or self._stderr.closed:
            return self._words
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), 8000, max(0, size - 8000))
        return "\n".join(tail.decode(errors="replace").rstrip().splitlines()[-lines:])


def _nameless_file() -> IO[bytes]:
    if sys.platform == "linux":
        return open(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()


def _environment(own: Mapping[str, str], level: str) -> dict[str, str]:
    """The environment of the children. No token is in it, as handlers inherit it."""
    kept = {key: value for key, value in own.items() if key != TOKEN_VARIABLE}
    return {**kept, **_import_path(own), log.VARIABLE: level}


def _import_path(environment: Mapping[str, str]) -> dict[str, str]:
    """What the children need to find this package where it is not installed."""
    here = str(Path(__file__).resolve().parents[2])
    installed = {*sysconfig.get_paths().values(), *site.getsitepackages()}
    if here in {os.path.realpath(path) for path in installed}:
        return {}
    inherited = environment.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (inherited, here)))}
