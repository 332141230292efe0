"""`breakpoint()` in a handler: who debugs, and how the debugger reaches them."""

from __future__ import annotations

import os
import select
import sys
from typing import Any

import pytest


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
