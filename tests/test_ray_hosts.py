"""What `RayWorkerHosts` refuses, without a Ray cluster."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from async_durable_execution_runner import InvalidConfiguration, RayWorkerHosts


def test_the_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InvalidConfiguration) as raised:
        RayWorkerHosts("coordinator.example:7000")
    assert str(raised.value) == (
        "Worker hosts on Ray need the package ray, which is not installed: "
        'pip install "async-durable-execution-runner[ray]"'
    )


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"hosts": 0}, "hosts=0: there must be one at least."),
        (
            {"token_file": "team/worker-host.token"},
            "token_file='team/worker-host.token' is read on",
        ),
        ({"key_file": "key"}, "give the path there, from the root on."),
    ],
)
def test_what_makes_no_sense_is_one_sentence(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        RayWorkerHosts("coordinator.example:7000", **given)
    assert complaint in str(raised.value)
