"""`breakpoint()` in a handler: who debugs, and how the debugger reaches them."""

from __future__ import annotations

import functools
import os
import select
import sys
from collections.abc import Callable
from typing import Any

import pytest

from . import options

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


def user(config: pytest.Config) -> Any:
    """Who debugs the handlers of this process, as `client.debugging.User` has it."""
    port = options.value(config, "debug")
    if port is None and hasattr(config, "workerinput"):
        # A worker of pytest-xdist has no terminal of its own.
        port = 0
    return Terminal(config) if port is None else Remote(config, port)


class _User:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._capture: Any = config.pluginmanager.getplugin("capturemanager")

    def begin(self, place: str) -> None:
        self._config.hook.pytest_enter_pdb(config=self._config, pdb=None)

    def end(self, quits: bool) -> None:
        self._config.hook.pytest_leave_pdb(config=self._config, pdb=None)


class Remote(_User):
    """The user at a debugger that connects to the handler: they are only told where."""

    def __init__(self, config: pytest.Config, port: int) -> None:
        super().__init__(config)
        self.port = port
        self._place = ""

    def begin(self, place: str) -> None:
        super().begin(place)
        self._place = place

    def show(self, text: str) -> None:
        # A worker of pytest-xdist has the standard error of the controller.
        if self._capture:
            self._capture.suspend()
        sys.stderr.write(f"\n{self._place}. {text}\n")
        sys.stderr.flush()
        if self._capture:
            self._capture.resume()

    def read(self, woken: int) -> str | None:
        raise AssertionError("Nobody types.")


class Terminal(_User):
    """The user at the terminal of pytest, as `client.debugging.User` has it. It is theirs for one
    debugger as it is for `breakpoint()` in a test."""

    port = None

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        #: What was typed already, and not asked for yet.
        self._typed = b""

    def begin(self, place: str) -> None:
        if self._capture:
            self._capture.suspend(in_=True)
        super().begin(place)
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
        super().end(quits)
        if self._capture:
            self._capture.resume()
        if quits and (session := self._config.pluginmanager.getplugin("session")):
            session.shouldstop = "Quitting debugger"

    def _separate(self, title: str) -> None:
        terminal = self._config.get_terminal_writer()
        terminal.line()
        terminal.sep(">", title)
