"""Which lines run in worker processes, for a test process that measures its coverage.

The test process tells workers how it measures; each worker then measures in the same way, into a
data file of its own beside the test's, as coverage's other processes do: whoever reports on the
test combines them. A worker may be killed at any moment, so it saves what has run before each
question to the coordinator: whatever the coordinator then decides, nothing is lost.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
import threading
from typing import Any

from ..rpc.v1 import worker_pb2 as pb

#: They would be written among what the handler writes, and the test process says the same.
_WARNINGS = [
    "already-imported",
    "couldnt-parse",
    "dynamic-conflict",
    "module-not-imported",
    "module-not-measured",
    "module-not-python",
    "no-data-collected",
    "no-sysmon-context",
]
#: What may end this process at once.
_ENDS = ("_exit", "abort", "kill", "killpg")

_lock = threading.RLock()
_coverage: Any = None
_pid = 0
_file = ""
#: Whether the file was there after the last save.
_written = False
#: The context of the invocation under way.
_context: str | None = None


# -- in the test process ---------------------------------------------------------------------


def describe() -> pb.Coverage | None:
    """Say how this process measures its coverage; None where it does not, or where its coverage
    is older than 7.10.3."""
    running = _running()
    serialize = getattr(getattr(running, "config", None), "serialize", None)
    if serialize is None:
        return None
    from coverage.files import relative_directory

    folder = relative_directory()
    # Relative paths mean what they meant when it began.
    with contextlib.chdir(folder):
        return pb.Coverage(config=serialize(), folder=os.fsencode(folder))


def context() -> str:
    """The context that this process notes lines under: with --cov-context=test the test's name."""
    # Releases before 7.16 have no public way to ask for it.
    return getattr(getattr(_running(), "_data", None), "_current_context", None) or ""


def _running() -> Any:
    kind: Any = getattr(sys.modules.get("coverage"), "Coverage", None)
    return kind.current() if hasattr(kind, "current") else None


# -- in the forkserver -----------------------------------------------------------------------


@functools.cache
def preload() -> None:
    """Do once what would take each worker a tenth of a second."""
    import coverage  # noqa: F401

    # coverage notes who begins to measure; the first look at a stack looks at all modules.
    inspect.stack()


# -- in a worker process ---------------------------------------------------------------------


def begin(how: pb.Coverage, context: str) -> None:
    """Measure an invocation, under `context`. This may change the working folder."""
    global _context
    if _coverage is None:
        _start(how)
    else:
        _coverage.start()
    _context = context
    save()


def end() -> None:
    """Save what has run, and measure nothing until the next invocation."""
    global _context
    save()
    if _context is not None:
        _coverage.stop()
        _context = None


def save() -> None:
    """Save what has run since the last time. This is nothing where nothing is measured."""
    global _written
    if _context is None or os.getpid() != _pid:
        return
    with _lock:
        if _written and not os.path.exists(_file):
            # The report is made already.
            return
        try:
            # It writes what has run under the context so far, but does not look for files that
            # have not run, as its method `save` would each time.
            _coverage.switch_context(_context)
        except Exception as error:
            sys.stderr.write(f"Coverage of a handler could not be saved to {_file}: {error}\n")
        _written = os.path.exists(_file)


def tracer() -> Any:
    """Return the trace function by which this thread is measured, None where it is not.

    A debugger that takes its place has to call it with each event, and to `start()` it in the end.
    """
    found = sys.gettrace()
    return found if _context is not None and hasattr(found, "start") else None


def _start(how: pb.Coverage) -> None:
    global _coverage, _pid, _file
    import coverage

    os.chdir(os.fsdecode(how.folder))
    measuring = coverage.Coverage(data_suffix=True, config_file=f":data:{how.config}")
    # The context comes with each invocation, and the end of a worker is never its own doing.
    for option, value in {
        "run:context": None,
        "run:disable_warnings": _WARNINGS,
        "run:dynamic_context": None,
        "run:patch": [],
        "run:sigterm": False,
    }.items():
        measuring.set_option(option, value)
    measuring.start()
    _coverage, _pid = measuring, os.getpid()
    _file = measuring.get_data().data_filename()
    for name in _ENDS:
        setattr(os, name, _saving(getattr(os, name)))


def _saving(end: Any) -> Any:
    @functools.wraps(end)
    def save_and_end(*args: Any, **kwargs: Any) -> Any:
        save()
        return end(*args, **kwargs)

    return save_and_end
