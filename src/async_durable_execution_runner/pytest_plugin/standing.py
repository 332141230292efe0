"""A session on a coordinator that runs already, with worker hosts of its own.

The option stands for the environment variable, so it holds for all runners of the session that name
no coordinator, and for the processes that tests start.
"""

from __future__ import annotations

from typing import Any

import pytest

from ..client.lent import COORDINATOR
from . import options

_error: Exception | None = None
_sentence = ""


def use(config: pytest.Config) -> None:
    """Have the session's runners use the coordinator that the options name; "" stands for none."""
    address = options.value(config, "coordinator")
    if address is not None:
        patch = pytest.MonkeyPatch()
        patch.setenv(COORDINATOR, address)
        config.add_cleanup(patch.undo)


def shut_out(address: str, error: Exception) -> None:
    """Note that the coordinator has not let a runner in."""
    global _error, _sentence
    _error, _sentence = error, str(error)
    if address not in _sentence:
        _sentence = f"The coordinator at {address} lets no runner in: {_sentence}"


def ends_session(item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> bool:
    """End the session where a test has failed because it was shut out: every other would too.

    The report of the test is one sentence then.
    """
    if call.excinfo is None or call.excinfo.value is not _error:
        return False
    report.longrepr = item.session.shouldstop = _sentence
    return True
