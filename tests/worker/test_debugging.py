"""What `breakpoint()` says where it cannot stop."""

from __future__ import annotations

import sys

import pytest

from async_durable_execution_runner.worker import debugging, over_socket


def test_a_missing_debugpy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "debugpy", None)
    with pytest.raises(RuntimeError, match="pip install debugpy"):
        over_socket.check()


def test_pythonbreakpoint_keeps_its_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    debugging.stop()
    monkeypatch.setenv("PYTHONBREAKPOINT", "os.path.basename")
    assert debugging.stop("a/b") == "b"
    monkeypatch.setenv("PYTHONBREAKPOINT", "")
    with pytest.raises(RuntimeError, match="isolation='inline'"):
        debugging.stop()
