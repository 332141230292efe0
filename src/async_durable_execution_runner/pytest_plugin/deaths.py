"""How a worker of pytest-xdist has died, where xdist says "Not properly terminated"."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from typing import Any

#: Seconds that a process may take to end when its connection has.
_PATIENCE = 2.0


def cause(node: Any, inline: Sequence[str]) -> str:
    """What is known of the end of a worker, in sentences; "" where nothing is.

    Args:
        node: xdist's controller of the worker.
        inline: The functions that ran inline in the worker.
    """
    # execnet offers no other way to it; a worker on another machine has a process of ssh here.
    process = getattr(getattr(node.gateway, "_io", None), "popen", None)
    if process is None or not node.gateway.spec.popen:
        return ""
    try:
        code = process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"Its process (pid {process.pid}) runs, but has closed its connection."
    text = f"Its process (pid {process.pid}) {_how(code)}"
    # What pytest-timeout has written goes nowhere, and it has no other place for its method.
    if code == 1 and getattr(node.config, "_env_timeout_method", "") == "thread":
        text += (
            ", as pytest-timeout has it do when a test takes too long. With "
            "--timeout-method=signal only the test fails, and says what it waited for"
        )
    text += "."
    if inline:
        names = ", ".join(map(repr, inline))
        text += (
            f"\nRunners had {names} run inline, in that process: a handler that crashes takes it "
            'along there. With isolation="worker" only the invocation fails.'
        )
    return text


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    # The kernel leaves no other trace that a process may read.
    why = ", as the kernel does when memory runs out" if -code == signal.SIGKILL else ""
    return f"was ended by {name}{why}"
