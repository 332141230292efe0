"""An inspection takes a worker's stacks twice, and never makes the forkserver wait.

The forkserver calls `read` when the worker's pipe has something and `pass_time` when `due`
has come, until the inspection is `done`.
"""

from __future__ import annotations

import os
import re
import time

from ..worker import stacks

#: The seconds that a worker has for each answer.
_PATIENCE = 0.5
#: The share of the time that counts as computing: 3 ms, where an idle process takes less than one.
_SOME = 0.02


class Inspection:
    """One inspection of a worker.

    `answers`, `busy` and `why` are for `stacks.report`; `busy` is a share of one processor.

    Args:
        pid: The worker's pid.
        pipe: The descriptor of the pipe that the worker's stacks come through.
        request_id: The invocation that the worker is looked at for.
    """

    def __init__(self, pid: int, pipe: int, request_id: str) -> None:
        self.request_id = request_id
        self.answers: list[str] = []
        self.why = ""
        self.busy: float | None = None
        self.done = False
        self.due = 0.0
        self._pid = pid
        self._pipe = pipe
        self._answer = b""
        self._asked = False
        self._answered: tuple[float, tuple[float, float] | None] = (0.0, None)
        self._ask()

    def _ask(self) -> None:
        # An answer to an earlier question may have come too late.
        self._drain()
        self._answer = b""
        if self.done:
            # The worker closed its end of the pipe. That descriptor may be the handler's by now.
            return
        if why := _deaf(self._pid):
            self.end(why)
            return
        os.kill(self._pid, stacks.SIGNAL)
        self._asked = True
        self.due = time.monotonic() + _PATIENCE

    def read(self) -> None:
        """Read what the worker has written."""
        self._drain()
        if self._asked and stacks.is_complete(self._answer):
            self._take()

    def _drain(self) -> None:
        while True:
            try:
                data = os.read(self._pipe, 65536)
            except BlockingIOError:
                return
            if not data:
                self.end("the worker closed the pipe for its stacks")
                return
            self._answer += data

    def pass_time(self) -> None:
        """Ask for the second answer, or give up waiting for one."""
        if not self._asked:
            then, before = self._answered
            now, after = time.monotonic(), _processor_time(self._pid)
            if before is not None and after is not None:
                self.busy = _busy(now - then, after[0] - before[0], after[1] - before[1])
            self._ask()
        elif self._answer:
            # The main thread did not come to run Python, so that there is only the text.
            self._take()
        else:
            self.end(f"the worker did not answer in {_PATIENCE:g} s{_blocks(self._pid)}")

    def _take(self) -> None:
        self.answers.append(self._answer.decode("utf-8", "replace"))
        self._asked = False
        if len(self.answers) == 2:
            self.done = True
        else:
            self._answered = time.monotonic(), _processor_time(self._pid)
            self.due = self._answered[0] + stacks.PAUSE

    def end(self, why: str) -> None:
        """End the inspection early, for the reason `why`."""
        self.why = why
        self.done = True


def _deaf(pid: int) -> str:
    """Say why the worker would not answer the signal; "" where it would."""
    status = _status(pid)
    if status.get("State", "").startswith(("T", "t")):
        return "the worker is stopped, by SIGSTOP or a debugger"
    if "SigCgt" in status and not _has_signal(status["SigCgt"]):
        return f"the handler took signal {stacks.SIGNAL}, which asks for the stacks"
    return ""


def _blocks(pid: int) -> str:
    blocked = _has_signal(_status(pid).get("SigBlk", "0"))
    return f": it blocks signal {stacks.SIGNAL}, which asks for the stacks" if blocked else ""


def _has_signal(mask: str) -> bool:
    return bool(int(mask, 16) >> (stacks.SIGNAL - 1) & 1)


def _status(pid: int) -> dict[str, str]:
    """Read Linux's status of a process; on other systems nothing is known."""
    try:
        with open(f"/proc/{pid}/status", errors="replace") as status:
            return dict(re.findall(r"^(\w+):\s*(.*)$", status.read(), re.MULTILINE))
    except OSError:
        return {}


def _busy(elapsed: float, computed: float, waited: float) -> float:
    """Return the share of `elapsed` in which a worker computed or waited for its turn to.

    On a busy machine, a worker that computes mostly waits for its turn. But a worker that hardly
    computes may also wait long for the one turn that it wants, so its waiting does not count.

    Args:
        elapsed: The seconds between the answers.
        computed: The seconds for which the worker's threads computed.
        waited: The seconds for which they waited for a processor.
    """
    wanted = computed + waited if computed > _SOME * elapsed else computed
    return wanted / elapsed


def _processor_time(pid: int) -> tuple[float, float] | None:
    """Return the seconds for which a process's threads computed, and waited for a processor.

    The result is None where the system does not say.
    """
    computed = waited = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as schedstat:
                on_it, before_it, _ = map(int, schedstat.read().split())
                computed += on_it
                waited += before_it
    except (OSError, ValueError):
        return None
    return computed / 1e9, waited / 1e9
