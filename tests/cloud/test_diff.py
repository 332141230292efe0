"""`durable-runner diff` of executions that are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.test_diff import compared, file

from async_durable_execution_runner import DurableFunctionCloudTestRunner
from async_durable_execution_runner.aws.api import Client
from async_durable_execution_runner.cli.main import main


@pytest.mark.processes
def test_executions_by_their_arns(
    tmp_path: Path,
    cloud: DurableFunctionCloudTestRunner,
    client: Client,
    endpoint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, same, another = (cloud.run(input, timeout=30).execution_arn for input in (1, 1, 2))
    assert compared(capsys, one, same, "--endpoint", endpoint)[0] == 0
    code, shown = compared(capsys, one, another, "--endpoint", endpoint)
    assert code == 1
    assert '- ExecutionSucceeded {"Result": {"Payload": "1"}}' in shown
    assert '+ ExecutionSucceeded {"Result": {"Payload": "2"}}' in shown
    answer = client.get_durable_execution_history(DurableExecutionArn=one)
    kept = file(tmp_path, "kept", answer["Events"])
    assert compared(capsys, kept, same, "--endpoint", endpoint)[0] == 0
    unknown = one.replace("/durable-execution/", "/durable-execution/x")
    assert main(["diff", one, unknown, "--endpoint", endpoint]) == 2
    assert "not found" in capsys.readouterr().err
