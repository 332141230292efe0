"""`breakpoint()` in a handler: who debugs, and how the debugger reaches them."""

from __future__ import annotations

import functools
import os
import select
import sys
from collections.abc import Callable
from typing import Any

import pytest

_PACKAGE = __name__.partition(".")[0]


def hold(pdb: Any) -> None:
    """Let no time pass for the inline handler, if it is one, that pytest's `pdb` is about to stop
    in this thread, until the user goes on or quits."""
    debugging = sys.modules.get(f"{_PACKAGE}.worker.debugging")
    if debugging is None or pdb is None:
        return
    frame: Any = sys._getframe(1)
    while frame.f_globals.get("__name__") != "_pytest.debugging":
        frame = frame.f_back
    while frame.f_globals.get("__name__") == "_pytest.debugging":
        frame = frame.f_back
    held = debugging.hold(frame)
    if held is not None:
        pdb.set_continue = _after(pdb.set_continue, held.close)
        pdb.set_quit = _after(pdb.set_quit, functools.partial(held.close, quits=True))


def _after(function: Callable[[], object], then: Callable[[], object]) -> Callable[[], None]:
    def both() -> None:
        function()
        then()

    return both


class Terminal:
    """The user at the terminal of pytest, as `client.debugging.User` has it. It is theirs for one
    debugger as it is for `breakpoint()` in a test."""

    port = None

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        #: What was typed already, and not asked for yet.
        self._typed = b""

    def begin(self, place: str) -> None:
        if capture := self._capture():
            capture.suspend(in_=True)
        self._config.hook.pytest_enter_pdb(config=self._config, pdb=None)
        self._separate(f"PDB: {place}")

    def show(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def read(self, woken: int) -> str | None:
        while b"\n" not in self._typed:
            try:
                terminal = sys.stdin.fileno()
                if woken in select.select([terminal, woken], [], [])[0]:
                    return None
                typed = os.read(terminal, 4096)
            except (AttributeError, OSError, ValueError):
                # The process has no standard input.
                typed = b""
            if not typed:
                break
            self._typed += typed
        line, end, self._typed = self._typed.partition(b"\n")
        return (line + end).decode(sys.stdin.encoding or "utf-8", "replace")

    def end(self, quits: bool) -> None:
        self._separate("PDB quit" if quits else "PDB continue")
        self._config.hook.pytest_leave_pdb(config=self._config, pdb=None)
        if capture := self._capture():
            capture.resume()
        if quits and (session := self._config.pluginmanager.getplugin("session")):
            session.shouldstop = "Quitting debugger"

    def _capture(self) -> Any:
        return self._config.pluginmanager.getplugin("capturemanager")

    def _separate(self, title: str) -> None:
        terminal = self._config.get_terminal_writer()
        terminal.line()
        terminal.sep(">", title)
