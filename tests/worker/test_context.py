"""The Lambda context and the environment variables."""

from __future__ import annotations

import os
import time

import pytest

from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.worker import debugging, environment
from async_durable_execution_runner.worker.lambda_context import LambdaContext, log_stream_name

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:orders"


def function(**values: object) -> pb.FunctionConfig:
    config = {"name": "orders", "version": "$LATEST", "arn": ARN, "memory_mb": 256} | values
    return pb.FunctionConfig(**config)  # type: ignore[arg-type]


def context(config: pb.FunctionConfig, deadline: float = 0) -> LambdaContext:
    return LambdaContext(config, "r-1", log_stream="s", tenant_id=None, deadline=deadline)


@pytest.mark.parametrize(("version", "arn"), [("$LATEST", ARN), ("7", f"{ARN}:7")])
def test_the_arn_is_qualified_by_a_published_version(version: str, arn: str) -> None:
    assert context(function(version=version)).invoked_function_arn == arn


def test_the_context_has_what_lambda_has() -> None:
    made = context(function())
    assert made.aws_request_id == "r-1"
    assert made.memory_limit_in_mb == "256"
    assert made.log_group_name == "/aws/lambda/orders"
    assert (made.client_context, made.identity, made.tenant_id) == (None, None, None)


def test_the_remaining_time_counts_down_to_zero() -> None:
    counting = context(function(), time.monotonic() + 10)
    first = counting.get_remaining_time_in_millis()
    assert 9_000 < first <= 10_000
    assert counting.get_remaining_time_in_millis() <= first
    assert context(function(), time.monotonic() - 1).get_remaining_time_in_millis() == 0


def test_the_remaining_time_stands_still_in_a_debugger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debugging, "stood_still", lambda: 20.0)
    late = context(function(), time.monotonic() - 10)
    assert 9_000 < late.get_remaining_time_in_millis() <= 10_000


def test_log_writes_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    context(function()).log({"a": 1})
    assert capsys.readouterr().out == "{'a': 1}\n"


def test_the_log_stream_is_named_as_lambda_names_it() -> None:
    assert log_stream_name(function(), "2030/01/02", "abc") == "2030/01/02/[$LATEST]abc"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def variables(**values: object) -> dict[str, str]:
    return environment.variables(function(**values), "orders.handler", "group", "stream")


@pytest.mark.usefixtures("bare")
def test_a_function_sees_lambdas_variables_and_its_own() -> None:
    made = variables(environment={"STAGE": "test", "AWS_REGION": "mars"})
    assert made["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert made["AWS_REGION"] == "mars"
    assert made["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert made["_HANDLER"] == "orders.handler"
    assert made["AWS_ACCESS_KEY_ID"] == "testing"


@pytest.mark.usefixtures("bare")
def test_credentials_are_made_up_only_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert "AWS_ACCESS_KEY_ID" not in variables()


@pytest.mark.usefixtures("bare")
def test_made_up_credentials_are_not_taken_for_real_ones() -> None:
    with environment.applied(variables()):
        assert variables()["AWS_ACCESS_KEY_ID"] == "testing"


def test_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "before")
    with environment.applied({"KEPT": "1", "NEW": "1"}):
        # The second of two inline invocations that overlap leaves last.
        with environment.applied({"KEPT": "2"}):
            assert os.environ["KEPT"] == "2"
        assert os.environ["NEW"] == "1"
    assert os.environ["KEPT"] == "before"
    assert "NEW" not in os.environ
