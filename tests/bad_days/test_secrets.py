"""What a handler finds of the token when it looks for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="it looks into Linux's /proc"),
]


def test_a_handler_finds_the_token_nowhere() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bad_days.spying", "127.0.0.1:0"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    token = found.pop("token")
    assert found.pop("others") == {}
    # By these a handler could read the token, or keep the cluster when the test is gone.
    assert found.pop("pipes") == []
    # The search does find what is there.
    assert found.pop("known in memory")
    assert not found.pop("in memory")
    # A debugger may look into a worker.
    assert found["worker"]["mem"] == "may be read"
    assert token not in found["worker"]["environ"] + found["worker"]["cmdline"]
    for name in ("forkserver", "host", "coordinator"):
        assert (found[name]["environ"], found[name]["mem"]) == ("refused", "refused")
    for name in ("forkserver", "host"):
        assert token not in found[name]["cmdline"]
