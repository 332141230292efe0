"""What cannot be put right of a process; what can is in `host.test_host`, in a real worker."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sys

import pytest

from async_durable_execution_runner.worker.condition import Condition


@pytest.fixture
def condition(monkeypatch: pytest.MonkeyPatch) -> Condition:
    """Of this process, which may not raise a limit."""

    def refuse(limit: int, _: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    return Condition(1, 2)


def test_a_limit_that_cannot_be_raised(
    condition: Condition, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resource.getrlimit
    lowered = {resource.RLIMIT_NOFILE: (8, 8)}
    monkeypatch.setattr(resource, "getrlimit", lambda limit: lowered.get(limit) or before(limit))
    assert condition.restore() == "its RLIMIT_NOFILE is 8"


def test_another_user(condition: Condition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: -7)
    assert condition.restore() == "it runs as another user"


def test_descriptors_that_are_left_open(
    condition: Condition, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = {resource.RLIMIT_NOFILE: (len(os.listdir("/proc/self/fd")) + 32, most)}
    before = resource.getrlimit
    monkeypatch.setattr(resource, "getrlimit", lambda limit: limits.get(limit) or before(limit))
    condition.keep()
    assert condition.restore() == ""
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.callback(os.close, os.dup(0))
        assert re.fullmatch(r"it has \d+ of at most \d+ descriptors open", condition.restore())


def test_another_root(condition: Condition, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda file: stat("/tmp" if file == "/" else file))
    why = condition.restore()
    monkeypatch.undo()
    assert why == "its root is another folder"


@pytest.mark.parametrize("module", ["path", "meta_path", "modules"])
def test_nothing_to_import_from(
    condition: Condition, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setattr(sys, module, type(getattr(sys, module))())
    why = condition.restore()
    monkeypatch.undo()
    assert why == "it can import nothing any more"


def test_what_is_as_it_was_is_left_alone(condition: Condition) -> None:
    assert condition.restore() == ""
