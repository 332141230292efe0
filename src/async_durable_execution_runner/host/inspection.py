"""Taking a worker's stacks twice: one of them under way in the forkserver, without waiting.

The forkserver calls `read` when the worker's pipe has something and `pass_time` when `due`
has come, until it is `done`.
"""

from __future__ import annotations

import os
import re
import time

from ..worker import stacks

#: Seconds that a worker has for each answer.
_PATIENCE = 0.5
#: A share of the time: 3 ms, where an idle process takes less than one.
_SOME = 0.02


class Inspection:
    """`answers` and `why` are for `stacks.report`; `busy` is a share of one processor."""

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
        # What came too late for an earlier one.
        self._drain()
        self._answer = b""
        if self.done:
            # What it closed may be something else of the handler's by now.
            return
        if why := _deaf(self._pid):
            self.end(why)
            return
        os.kill(self._pid, stacks.SIGNAL)
        self._asked = True
        self.due = time.monotonic() + _PATIENCE

    def read(self) -> None:
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
                self.end("it closed the pipe for them")
                return
            self._answer += data

    def pass_time(self) -> None:
        if not self._asked:
            then, before = self._answered
            now, after = time.monotonic(), _processor_time(self._pid)
            if before is not None and after is not None:
                self.busy = _busy(now - then, after[0] - before[0], after[1] - before[1])
            self._ask()
        elif self._answer:
            # The main thread does not come to run Python.
            self._take()
        else:
            self.end(f"it did not answer in {_PATIENCE:g} s{_blocks(self._pid)}")

    def _take(self) -> None:
        self.answers.append(self._answer.decode("utf-8", "replace"))
        self._asked = False
        if len(self.answers) == 2:
            self.done = True
        else:
            self._answered = time.monotonic(), _processor_time(self._pid)
            self.due = self._answered[0] + stacks.PAUSE

    def end(self, why: str) -> None:
        self.why = why
        self.done = True


def _deaf(pid: int) -> str:
    """Why the signal may not be sent, or would not come through; "" where it would."""
    status = _status(pid)
    if status.get("State", "").startswith(("T", "t")):
        return "it is stopped, by SIGSTOP or a debugger"
    if "SigCgt" in status and not _has_signal(status["SigCgt"]):
        return f"it took signal {stacks.SIGNAL} for itself, which asks for them"
    return ""


def _blocks(pid: int) -> str:
    blocked = _has_signal(_status(pid).get("SigBlk", "0"))
    return f": it blocks signal {stacks.SIGNAL}, which asks for them" if blocked else ""


def _has_signal(mask: str) -> bool:
    return bool(int(mask, 16) >> (stacks.SIGNAL - 1) & 1)


def _status(pid: int) -> dict[str, str]:
    """Linux's; elsewhere nothing is known."""
    try:
        with open(f"/proc/{pid}/status", errors="replace") as status:
            return dict(re.findall(r"^(\w+):\s*(.*)$", status.read(), re.MULTILINE))
    except OSError:
        return {}


def _busy(elapsed: float, computed: float, waited: float) -> float:
    """A share of `elapsed`. On a busy machine what computes mostly waits for its turn, but
    what hardly computes may also have to wait long for the one turn that it wants."""
    wanted = computed + waited if computed > _SOME * elapsed else computed
    return wanted / elapsed


def _processor_time(pid: int) -> tuple[float, float] | None:
    """Seconds that its threads together have computed, and have waited for a processor to do
    so. None where that is not known."""
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
