"""Tools as they are, against `durable-runner serve`: the SDK's own cloud runner, the AWS CLI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from awscli.clidriver import create_clidriver
from serving.process import serving

from async_durable_execution_runner import DurableFunctionCloudTestRunner

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    served = [
        f"--function={each}=gateway.handlers:{each}" for each in ("order", "refused", "approval")
    ]
    with serving(Path(__file__).parents[1], *served, "--skip-time") as (_, _, url):
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def cloud_runner(endpoint: str, function: str, input: Any) -> Any:
    sdk = pytest.importorskip("async_durable_execution")
    if not hasattr(sdk, "create_cloud_runner"):
        pytest.skip("this SDK has no cloud runner")
    return sdk.create_cloud_runner(
        function_name=function,
        region="us-east-1",
        input=input,
        timeout=30,
        lambda_endpoint=endpoint,
    )


async def test_the_sdk_s_cloud_runner_runs_to_the_end(endpoint: str) -> None:
    async with cloud_runner(endpoint, "order", {"a": 1}) as cloud:
        result = await cloud.run()
    assert result.status.value == "SUCCEEDED"
    assert json.loads(result.result) == {"a": 1}
    assert result.get_step("first").status.value == "SUCCEEDED"


async def test_the_sdk_s_cloud_runner_sees_a_failure(endpoint: str) -> None:
    async with cloud_runner(endpoint, "refused", None) as cloud:
        result = await cloud.run()
    assert result.status.value == "FAILED"
    assert result.error.message == "no credit"


async def test_the_sdk_s_cloud_runner_answers_a_callback(endpoint: str) -> None:
    async with cloud_runner(endpoint, "approval", None) as cloud:
        arn = await cloud.run_async()
        callback_id = await cloud.wait_for_callback(arn)
        await cloud.send_callback_heartbeat(callback_id)
        await cloud.send_callback_success(callback_id, b"yes")
        result = await cloud.wait_for_result(arn)
    assert json.loads(result.result) == {"approved": "yes"}


def test_the_aws_cli(
    endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", endpoint)
    monkeypatch.setenv("AWS_PAGER", "")
    command = create_clidriver()

    def aws(*arguments: str) -> Any:
        assert command.main(["lambda", *arguments]) == 0
        output = capsys.readouterr().out
        return json.loads(output) if output.strip() else None

    file = tmp_path / "answer.json"
    aws("invoke", "--function-name", "order", str(file))
    assert json.loads(file.read_text()) == {}
    started = aws(
        *("invoke", "--function-name", "approval", "--invocation-type", "Event"), str(file)
    )
    arn = started["DurableExecutionArn"]
    with DurableFunctionCloudTestRunner("approval", lambda_endpoint=endpoint) as runner:
        callback_id = runner.wait_for_callback(arn)
        aws("send-durable-execution-callback-failure", "--callback-id", callback_id)
        runner.wait_for_result(arn)
    execution = aws("get-durable-execution", "--durable-execution-arn", arn)
    assert execution["Status"] == "SUCCEEDED"
    events = aws("get-durable-execution-history", "--durable-execution-arn", arn)["Events"]
    assert events[-1]["EventType"] == "ExecutionSucceeded"
