"""A worker host for a coordinator elsewhere, which is kept running beside this process."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence

from .. import log
from ..host import JOINED
from .child_process import ChildProcess

#: Seconds that a host has to end once its time to drain is up.
_PATIENCE = 5.0
#: Seconds until another host takes the place of one that has ended: they double.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
#: Seconds: as good as for ever.
_EVER = 1e6


class KeptHost:
    """A worker host as a child of this process: one that ends is followed by another, and when this
    process ends, the host ends at once."""

    def __init__(
        self, arguments: Sequence[str], drain_timeout: float, environment: Mapping[str, str]
    ) -> None:
        """Start a host.

        Args:
            arguments: The arguments of each host.
            drain_timeout: Seconds that its invocations have to end when it is drained.
            environment: What each host, and so its handlers, find in their environment.
        """
        self._arguments = [*arguments, "--drain-timeout", str(drain_timeout), "--supervised"]
        self._drain_timeout = drain_timeout
        self._environment = environment
        self._lock = threading.Lock()
        self._host: ChildProcess | None = None
        self._ending = threading.Event()
        self._why_not = ""
        self._known = threading.Event()
        threading.Thread(target=self._keep, name="durable-keep-host", daemon=True).start()

    def joined(self) -> str:
        """Wait until the first host has joined the coordinator, and return ""; or until it has
        ended before, and return why."""
        self._known.wait()
        return self._why_not

    def drain(self) -> None:
        """Have the host end when its invocations have ended, and wait for it. No other follows."""
        with self._lock:
            self._ending.set()
            host = self._host
        if host is not None and host.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(host.pid, signal.SIGTERM)
            if not host.wait(self._drain_timeout + _PATIENCE):
                host.end()

    def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            said, how = self._run()
            if self._ending.is_set():
                break
            if said == JOINED:
                pause = _FIRST_PAUSE
            elif not self._known.is_set():
                self._why_not = (
                    f"A worker host on {platform.node()} says: {said}"
                    if said
                    else (f"A worker host on {platform.node()} {how}.")
                )
                self._known.set()
            sys.stderr.write(f"The worker host {how}; another starts in {pause:g} s.\n")
            self._ending.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._known.set()

    def _run(self) -> tuple[str, str]:
        """Run a host until it ends, and return what it has said, and how it has ended."""
        try:
            host = self._start()
        except OSError as error:
            return "", f"could not be started: {error}"
        if host is None:
            return "", ""
        said = host.read_line(_EVER)
        if said == JOINED:
            self._known.set()
        host.wait(_EVER)
        host.end()
        return said, host.epitaph()

    def _start(self) -> ChildProcess | None:
        """Start a host, unless there is to be none any more."""
        with self._lock:
            if self._ending.is_set():
                return None
            with _no_signal_blocked():
                self._host = ChildProcess(
                    "host",
                    *self._arguments,
                    shown=True,
                    environment=self._environment,
                    level=self._environment.get(log.VARIABLE, ""),
                )
            return self._host


@contextlib.contextmanager
def _no_signal_blocked() -> Iterator[None]:
    """Have processes that are started in this block begin with no signal blocked."""
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
