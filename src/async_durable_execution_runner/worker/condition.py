"""The condition of a worker's process, which a handler must not spoil for those who come after it.

After each invocation the worker puts back what its handler has changed of the process's limits,
descriptors, signals, timers and the like. What a module does to the process when it is imported
stays, as it happens once only.
"""

from __future__ import annotations

import asyncio
import locale
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator

from . import stacks

_LIMITS = {
    getattr(resource, name): name
    for name in sorted(dir(resource), reverse=True)
    if name.startswith("RLIMIT_")
}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGALRM)
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class Condition:
    """The condition of this process, which `keep` notes and `restore` goes back to.

    Args:
        output: The descriptor of the file that takes what the worker writes; 1 and 2 are it too.
        pipe: The descriptor of the pipe for stacks.
    """

    def __init__(self, output: int, pipe: int) -> None:
        self._output = output
        self._pipe = pipe
        self.keep()

    def keep(self) -> None:
        """Note the condition of the process as it is now."""
        self._files = {fd: _file(fd) for fd in (0, 1, 2, self._output, self._pipe)}
        self._limits = {limit: resource.getrlimit(limit)[0] for limit in _LIMITS}
        os.umask(umask := os.umask(0o077))
        self._umask = umask
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._handlers = [(each, signal.getsignal(each)) for each in _SIGNALS]
        self._answer = signal.getsignal(stacks.SIGNAL)
        self._timers = [each for each in _TIMERS if signal.getitimer(each) == (0.0, 0.0)]
        self._recursion = sys.getrecursionlimit()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._user = _user()
        self._policy = _policy()

    def restore(self) -> str:
        """Put back what differs, but for limits that are higher; return why the process cannot be
        used again, or "" where it can."""
        try:
            return "; ".join(self._restore())
        except Exception as error:
            return f"its process cannot be restored: {error}"

    def _restore(self) -> Iterator[str]:
        # Timers come first, and the mask last: no signal may strike in between.
        for timer in self._timers:
            signal.setitimer(timer, 0)
        yield from self._restore_limits()
        yield from self._restore_files()
        os.umask(self._umask)
        for number, handler in self._handlers:
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)
        if signal.getsignal(stacks.SIGNAL) is not self._answer:
            stacks.listen(self._pipe)
            self._answer = signal.getsignal(stacks.SIGNAL)
        if sys.getrecursionlimit() < self._recursion:
            sys.setrecursionlimit(self._recursion)
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)
        if _policy() is not self._policy:
            asyncio.set_event_loop_policy(self._policy)
        if _user() != self._user:
            yield "it runs as another user"
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _restore_limits(self) -> Iterator[str]:
        for limit, before in self._limits.items():
            now, most = resource.getrlimit(limit)
            if _size(now) < _size(before):
                try:
                    resource.setrlimit(limit, (before, max(before, most, key=_size)))
                except (ValueError, OSError):
                    yield f"its {_LIMITS[limit]} is {now}"

    def _restore_files(self) -> Iterator[str]:
        for fd, file in self._files.items():
            if _file(fd) != file:
                same = next((each for each in self._files if _file(each) == file), None)
                if same is not None:
                    os.dup2(same, fd, inheritable=fd <= 2)
                elif fd == 0:
                    null = os.open(os.devnull, os.O_RDONLY)
                    os.dup2(null, 0)
                    if null != 0:
                        os.close(null)
                else:
                    yield f"its descriptor {fd} is closed"


def _file(fd: int) -> tuple[int, int] | None:
    """Return what identifies the open file behind a descriptor."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _user() -> tuple[int, ...]:
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid()


def _size(limit: int) -> float:
    return math.inf if limit == resource.RLIM_INFINITY else limit


def _policy() -> asyncio.AbstractEventLoopPolicy | None:
    # Python 3.14 has deprecated policies.
    return asyncio.get_event_loop_policy() if sys.version_info < (3, 14) else None
