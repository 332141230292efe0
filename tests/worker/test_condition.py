"""What cannot be put right of a process; what can is in `host.test_host`, in a real worker."""

from __future__ import annotations

import os
import resource

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


def test_what_is_as_it_was_is_left_alone(condition: Condition) -> None:
    assert condition.restore() == ""
