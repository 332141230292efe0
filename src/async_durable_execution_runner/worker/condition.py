"""The condition of a worker's process, which a handler must not spoil for those who come after it.

After each invocation the worker puts back what its handler has changed of the process's limits,
descriptors, signals, timers and the like. What a module does to the process when it is imported
stays, as it happens once only. The state of Python (variables of modules, `os.environ`) is the
handler's own and stays, but for the little that slows or stops whoever comes next.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import locale
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator

from . import stacks

_LIMITS = {
    getattr(resource, name): name
    for name in sorted(dir(resource), reverse=True)
    if name.startswith("RLIMIT_")
}
_SIGNALS = {
    *(signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGALRM),
    *(signal.SIGVTALRM, signal.SIGPROF),
    *(signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2),
} - {stacks.SIGNAL}
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_DESCRIPTORS = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
#: The descriptors that an invocation needs free, for its streams and for what it imports.
_NEEDED = 32


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
        self._root = _file("/")
        self._files = {fd: _file(fd) for fd in (0, 1, 2, self._output, self._pipe)}
        self._flags = {fd: _flags(fd) for fd in self._files}
        self._open = _open()
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
        self._collects = gc.isenabled()
        self._trace = sys.gettrace()
        self._patience = socket.getdefaulttimeout()

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
        if _file("/") != self._root:
            yield "its root is another folder"
        else:
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
        if self._collects:
            gc.enable()
        if sys.gettrace() != self._trace:
            sys.settrace(self._trace)
        socket.setdefaulttimeout(self._patience)
        if _user() != self._user:
            yield "it runs as another user"
        if not (sys.path and sys.meta_path and __name__ in sys.modules):
            yield "it can import nothing any more"
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
        for fd, flags in self._flags.items():
            if flags is not None and _flags(fd) not in (flags, None):
                fcntl.fcntl(fd, fcntl.F_SETFL, flags)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if (now := _open()) > self._open and _size(most) - now < _NEEDED:
            yield f"it has {now} of at most {most} descriptors open"


def _file(file: int | str) -> tuple[int, int] | None:
    """Return what identifies a file, or the open file behind a descriptor."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _flags(fd: int) -> int | None:
    try:
        return fcntl.fcntl(fd, fcntl.F_GETFL)
    except OSError:
        return None


def _open() -> int:
    """Return how many descriptors are open."""
    try:
        # Linux counts them here since 6.2.
        counted = os.stat(_DESCRIPTORS).st_size if sys.platform == "linux" else 0
        return counted or len(os.listdir(_DESCRIPTORS)) - 1
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _user() -> tuple[int, ...]:
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid()


def _size(limit: int) -> float:
    return math.inf if limit == resource.RLIM_INFINITY else limit


def _policy() -> asyncio.AbstractEventLoopPolicy | None:
    # Python 3.14 has deprecated policies.
    return asyncio.get_event_loop_policy() if sys.version_info < (3, 14) else None
