"""The disk that workers write their output to is full."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from async_durable_execution_runner import (
    DurableFunctionTestRunner,
    InvocationStatus,
    WorkersUnavailable,
)

from .misdeeds import misbehave

pytestmark = pytest.mark.processes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """256 KiB, as TMPDIR of the processes that are started from now on."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=256k,nr_inodes=20", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def runner_on(
    disk: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> DurableFunctionTestRunner:
    monkeypatch.setenv("TMPDIR", str(disk))
    return DurableFunctionTestRunner(
        handler=misbehave, workers=1, invocation_retries=0, listen="127.0.0.1:0", **options
    )


@pytest.mark.parametrize("deed", ["print_50_mb", "write_50_mb_without_python"])
def test_output_that_finds_no_room_does_not_fail_the_handler(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    with runner_on(small_disk, monkeypatch) as runner:
        result = runner.run({"do": deed}, timeout=20)
        assert result.status is InvocationStatus.SUCCEEDED
        assert f"about to do {deed}" in result.output
        assert result.invocations[0].output_truncated is (deed == "print_50_mb")
        # The room is there again for the next.
        result = runner.run({}, timeout=20)
        assert result.output == "about to do nothing\n"


def fill(disk: Path) -> None:
    """Leave room for no further file."""
    for number in itertools.count():
        try:
            os.close(os.open(disk / str(number), os.O_CREAT))
        except OSError:
            return


def test_a_disk_that_has_no_room_for_a_file_is_named_as_the_cause(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runner_on(small_disk, monkeypatch, isolation="invocation") as runner:
        runner.run({}, timeout=20)
        while runner.status().workers:
            """Its worker is on its way out, and its file with it."""
        fill(small_disk)
        with pytest.raises(WorkersUnavailable, match="No space left on device"):
            runner.run({}, timeout=20)
