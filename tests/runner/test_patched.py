"""What is noticed of a test's patches in its own process, and what is not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock, patch

import boto3
import pytest
from moto import mock_aws

from async_durable_execution_runner.runner import patched

from . import faked, service

HANDLERS = [faked.__name__]
SERVICE = service.__name__
own_fake = Mock()
SESSION = boto3.Session


class Client:
    def send(self) -> None: ...


def fake(amount: int) -> str:
    return f"{amount} by a fake"


@pytest.fixture
def hint(request: pytest.FixtureRequest) -> Callable[..., str]:
    def found(replaced: Any = (), modules: Any = HANDLERS) -> str:
        patched.note(modules)
        return patched.hint(request.node.nodeid, replaced)

    return found


@pytest.mark.parametrize(
    "patching",
    [
        patch.object(service, "charge"),
        patch.object(service, "charge", autospec=True),
        patch.object(service, "charge", fake),
        patch.object(service, "charge", lambda amount: "paid"),
        patch(f"{SERVICE}.charge", new_callable=Mock),
    ],
)
def test_a_patched_function_is_named(patching: Any, hint: Any, request: Any) -> None:
    with patching:
        hint()
    # It is over when the test has failed.
    assert patched.hint(request.node.nodeid, ()) == (
        f"`{SERVICE}.charge` is patched in this process, but the handler ran in another one, which "
        "has the original: see docs/fakes.md (worker_setup=, env=, a server, isolation='inline')."
    )


def test_what_monkeypatch_has_set_is_named_whatever_it_is(
    hint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LIMIT", 3, raising=False)
    monkeypatch.setattr(faked, "AT_IMPORT", "other")
    monkeypatch.setattr("os.sep", "/")
    monkeypatch.setattr(re, "_ours", 1, raising=False)
    named = re.findall("`(.*?)`", hint([each[:2] for each in monkeypatch._setattr]))
    assert named == [f"{SERVICE}.LIMIT", f"{faked.__name__}.AT_IMPORT", "os.sep"]


def test_no_more_than_three_are_named(hint: Any) -> None:
    names = {f"fake_{number}": Mock() for number in range(5)}
    with patch.multiple(service, create=True, **names):
        assert "fake_2` and 2 more are patched" in hint()


def test_a_method_of_a_class_of_a_tests_own_module_is_named(hint: Any) -> None:
    assert hint(modules=[__name__]) == ""
    with patch.object(Client, "send"):
        assert f"`{__name__}.Client.send` is patched" in hint(modules=[__name__])


def test_nothing_is_said_of_what_the_handlers_module_does_not_have(hint: Any) -> None:
    with patch("shutil.copy"), patch.dict(os.environ, {"A": "b"}):
        assert hint() == ""


def test_nothing_is_said_of_other_tests(hint: Any) -> None:
    with patch.object(service, "charge"):
        hint()
    assert patched.hint("tests/test_other.py::test_other", ()) == ""


def test_moto_in_this_process_is_named_where_the_module_has_boto3(hint: Any) -> None:
    with mock_aws():
        assert hint() == ""
        assert "`boto3 (by moto's mock_aws)` is patched" in hint(modules=[__name__])
