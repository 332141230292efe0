"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from conformance.cases import SUITE

from async_durable_execution_runner.client import lent

#: Seconds. No test without processes takes a tenth of it; one that waits in vain fails by it.
_WITHOUT_PROCESSES = 10

#: These hold what the published requirements say, which are no part of the repository.
collect_ignore = [
    "conformance/test_over_http.py",
    "conformance/test_published.py",
    "official/test_plugins.py",
]
if SUITE.is_dir():
    collect_ignore.clear()


# Runners are in the region of the machine's own configuration, and the tests in the default one.
os.environ.pop("AWS_REGION", None)

# A shell ignores Ctrl-C for what it runs in the background, and nohup the end of the terminal; so
# would the commands under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("ray") and config.option.markexpr != "ray":
            item.add_marker(pytest.mark.skip(reason="it needs a Ray cluster: run it with -m ray"))
        if not (item.get_closest_marker("processes") or item.get_closest_marker("timeout")):
            item.add_marker(pytest.mark.timeout(_WITHOUT_PROCESSES))


@pytest.fixture
def own_cluster() -> Iterator[None]:
    """Have the test's runners in a cluster that no other process uses, as the test kills or freezes
    processes of the cluster, or counts what is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lent, "ask", None)
        yield
