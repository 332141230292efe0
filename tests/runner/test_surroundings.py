"""What a test has around it when it opens a runner, its handlers find in their workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from async_durable_execution_runner import (
    DurableFunctionTestRunner,
    InvalidConfiguration,
    InvocationStatus,
)

from .surroundings import look


@pytest.fixture
def found(make_durable_runner: Any) -> Any:
    def run(event: Any = None, **options: Any) -> dict[str, Any]:
        runner = make_durable_runner(look, workers=1, **options)
        result = runner.run(event or {}, timeout=30)
        assert result.status is InvocationStatus.SUCCEEDED, result.describe()
        return result.get_deserialized_result()  # type: ignore[no-any-return]

    return run


@pytest.mark.usefixtures("own_cluster")
@pytest.mark.processes
def test_each_runner_has_what_was_there_when_it_was_opened(
    found: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SURROUNDING", "first")
    monkeypatch.setenv("DURABLE_RUNNER_SECRET_KEY", "secret")
    first = found({"set": "kept"})
    assert (first["variable"], first["at_import"], first["ours"]) == ("first", "first", [])
    assert first["folder"] == os.getcwd()
    assert "test_each_runner_has" in first["test"]

    monkeypatch.setenv("SURROUNDING", "second")
    monkeypatch.setenv("TZ", "XYZ-3")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "mars")
    monkeypatch.chdir(tmp_path)
    second = found()
    assert (second["variable"], second["at_import"]) == ("second", "second")
    assert (second["folder"], second["zone"]) == (str(tmp_path), "XYZ")
    # Lambda's own variables stand above those of the test, and the function's above these.
    assert second["region"] == second["default_region"] == "eu-north-1"
    assert found(env={"SURROUNDING": "own"})["variable"] == "own"

    monkeypatch.delenv("SURROUNDING")
    assert found()["variable"] is None
    monkeypatch.undo()

    # The same again finds a warm worker, with what the handler itself has changed there.
    monkeypatch.setenv("SURROUNDING", "first")
    again = found()
    assert {**again, "test": ""} == {**first, "test": ""}


@pytest.mark.processes
def test_a_folder_that_goes_while_the_runner_is_open_is_named(
    make_durable_runner: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    runner = make_durable_runner(look, workers=1, invocation_retries=0)
    monkeypatch.chdir(tmp_path)
    folder.rmdir()
    result = runner.run({}, timeout=30)
    assert result.error is not None
    assert result.error.message == (
        f"The working folder {folder}, in which the runner was opened, cannot be entered "
        "(No such file or directory): keep it until the runner is closed."
    )


@pytest.mark.processes
def test_no_runner_is_opened_in_a_folder_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    runner = DurableFunctionTestRunner(handler=look)
    folder.rmdir()
    with pytest.raises(InvalidConfiguration, match="The working folder of this process is gone"):
        runner.__enter__()
