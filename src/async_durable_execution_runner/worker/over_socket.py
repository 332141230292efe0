"""A debugger that connects to the handler's process over a socket, as VS Code does: debugpy.

It is imported where a handler stops and nowhere else, as it does not bear forks. A process that has
had it serves no other invocation: what stops there cannot be seen, and its port is to be free.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

HOST = "127.0.0.1"
#: Seconds that another process may take to give the port free.
_PATIENCE = 3.0
#: Seconds between two looks whether the debugger is still there, which debugpy does not say.
_PERIOD = 0.3

_port = 0
#: A clock that handlers do not fake.
_never = threading.Event()


def check() -> None:
    """Raise `RuntimeError` where debugpy is not installed."""
    if importlib.util.find_spec("debugpy") is None:
        raise RuntimeError(
            "breakpoint() waits for a debugger with debugpy here, which is not installed: "
            "pip install debugpy."
        )


def is_connected() -> bool:
    debugpy: Any = sys.modules.get("debugpy")
    return debugpy is not None and bool(debugpy.is_client_connected())


def listen(port: int) -> int:
    """Listen at `port`, or at a free one if that is 0 or stays taken; return which one it is."""
    global _port
    if not _port:
        # It would say on standard error what it cannot do for frozen modules.
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        # This takes a second.
        import debugpy

        # What a handler starts is not debugged with it.
        debugpy.configure(subProcess=False)
        _, _port = debugpy.listen((HOST, port if port and _is_free(port) else 0))
    return _port


def _is_free(port: int) -> bool:
    """Whether nobody listens at `port`, perhaps after a moment: the process that had it ends."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                return True
            except OSError:
                if time.monotonic() > deadline:
                    return False
        _never.wait(_PERIOD)


def wait(until_gone: Callable[[], object]) -> None:
    """Wait for the debugger, and have `until_gone` called when it has left."""
    import debugpy

    debugpy.wait_for_client()

    def watch() -> None:
        while is_connected():
            _never.wait(_PERIOD)
        until_gone()

    thread = threading.Thread(target=watch, name="durable-debugger", daemon=True)
    # The debugger neither shows nor stops it.
    thread.is_pydev_daemon_thread = thread.pydev_do_not_trace = True  # type: ignore[attr-defined]
    thread.start()


def stop(frame: FrameType) -> None:
    """Have the debugger stop at the next line of `frame`."""
    # debugpy has this for its caller only.
    import pydevd

    pydevd.settrace(
        suspend=True,
        trace_only_current_thread=True,
        patch_multiprocessing=False,
        stop_at_frame=frame,
        notify_stdin=False,
    )


def unfit() -> str:
    """Why the process cannot be used again; "" where it never listened."""
    return "a debugger may be in it" if _port else ""
