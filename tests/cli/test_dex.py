"""The earlier package's command line and web runner, in front of another Lambda endpoint."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import Watched, all_gone

from async_durable_execution_runner import DurableFunctionCloudTestRunner, NotStarted
from async_durable_execution_runner.aws.api import make_client
from async_durable_execution_runner.cli.dex import main
from async_durable_execution_runner.runner import (
    ExecutionHandle,
    WebRunner,
    WebRunnerConfig,
    WebServiceConfig,
)

pytestmark = pytest.mark.processes

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-west-2",
}

Output = pytest.CaptureFixture[str]


@dataclass
class Started:
    """A process that listens at `url`."""

    process: subprocess.Popen[str]
    url: str

    def checkpoint_at(self, url: str) -> None:
        self.process.stdin.write(f"{url}\n")
        self.process.stdin.flush()


@contextmanager
def started_process(command: list[str], line: str, **environment: str) -> Iterator[Started]:
    """One that says its URL in a line that begins like that."""
    with subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            for said in process.stdout:
                if said.startswith(line):
                    yield Started(process, said.removeprefix(line).strip())
                    break
            else:
                pytest.fail(process.stderr.read())
        finally:
            process.kill()


def lambda_endpoint(*port: str) -> AbstractContextManager[Started]:
    """One that is not ours."""
    script = str(Path(__file__).parent / "lambda_endpoint.py")
    return started_process([script, *port], "listening at ", **KEYS)


def serving(*arguments: str, **environment: str) -> AbstractContextManager[Started]:
    """`start-server`."""
    return started_process(
        ["-m", "async_durable_execution_runner.cli.dex", "start-server", "--port=0", *arguments],
        "export AWS_ENDPOINT_URL_LAMBDA=",
        **environment,
    )


@contextmanager
def both() -> Iterator[tuple[Started, Started]]:
    """A server in front of an endpoint, and the endpoint."""
    with (
        lambda_endpoint() as endpoint,
        serving("--log-level=ERROR", AWS_DEX_LAMBDA_ENDPOINT=endpoint.url) as server,
    ):
        endpoint.checkpoint_at(server.url)
        yield server, endpoint


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Started, Started]]:
    with both() as started:
        yield started


@pytest.fixture
def endpoint(shared: tuple[Started, Started], monkeypatch: pytest.MonkeyPatch) -> Started:
    """In front of it is a server, which the other commands find in the environment."""
    server, endpoint = shared
    ask(monkeypatch, server)
    return endpoint


def ask(monkeypatch: pytest.MonkeyPatch, server: Started | WebRunner) -> None:
    url = server.url if isinstance(server, Started) else server.endpoint_url
    monkeypatch.setenv("AWS_DEX_LOCAL_RUNNER_ENDPOINT", url)


def asked(output: Output, *arguments: str) -> dict[str, Any]:
    """What a command answers, as data; as text it is indented."""
    assert main(arguments) == 0
    text = output.readouterr().out
    assert text.startswith("{\n  ")
    return json.loads(text)


def started(output: Output, function: str, *arguments: str) -> str:
    answer = asked(output, "invoke", f"--function-name={function}", *arguments)
    assert list(answer) == ["ExecutionArn"]
    return answer["ExecutionArn"]


def wait_for_the_end(arn: str) -> None:
    client = make_client("us-west-2", os.environ["AWS_DEX_LOCAL_RUNNER_ENDPOINT"])
    with DurableFunctionCloudTestRunner("any", client=client) as runner:
        ExecutionHandle(runner._engine, arn).result(timeout=60)


def first_failure(output: Output, arn: str) -> dict[str, str]:
    """Of an invocation, once it is in the history."""
    while True:
        for event in asked(output, "get-durable-execution-history", "--durable-execution-arn", arn)[
            "Events"
        ]:
            if error := event.get("InvocationCompletedDetails", {}).get("Error", {}).get("Payload"):
                return {"type": error["ErrorType"], "message": error["ErrorMessage"]}


@pytest.mark.parametrize("name", [None, "mine"])
def test_a_function_elsewhere_goes_through_its_steps_and_waits(
    endpoint: Started, capsys: Output, name: str | None
):
    named = [f"--durable-execution-name={name}"] if name else []
    arn = started(capsys, "order", '--input={"order": 1}', *named)
    assert f":function:order:$LATEST/durable-execution/{name or 'order-execution-'}" in arn
    wait_for_the_end(arn)
    got = asked(capsys, "get-durable-execution", f"--durable-execution-arn={arn}")
    assert got["Status"] == "SUCCEEDED"
    charged = f"charged by {endpoint.process.pid}"
    assert json.loads(got["Result"]) == {"order": 1, "charged": charged}
    history = asked(capsys, "get-durable-execution-history", f"--durable-execution-arn={arn}")
    assert [event["EventType"] for event in history["Events"]] == [
        "ExecutionStarted",
        "StepStarted",
        "StepSucceeded",
        "WaitStarted",
        "InvocationCompleted",
        "WaitSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


def test_without_a_name_each_invocation_is_another_execution(endpoint: Started, capsys: Output):
    assert started(capsys, "raises") != started(capsys, "raises")


def test_a_handler_of_the_official_sdk_invokes_another_function_there(
    endpoint: Started, capsys: Output
):
    arn = started(capsys, "official", '--input={"order": "o-1"}')
    wait_for_the_end(arn)
    got = asked(capsys, "get-durable-execution", f"--durable-execution-arn={arn}")
    assert json.loads(got["Result"]) == ["o-1", 2]


def test_functions_are_listed_that_were_asked_for(endpoint: Started, capsys: Output):
    started(capsys, "raises")
    client = make_client("us-west-2", os.environ["AWS_DEX_LOCAL_RUNNER_ENDPOINT"])
    names = {each["FunctionName"] for each in client.list_functions()["Functions"]}
    assert "raises" in names
    assert "*" not in names


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("raises", "LookupError", "no such order"),
        ("missing", "ResourceNotFoundException", "'missing' at URL was refused: Function not"),
        ("hangs_up", "ConnectionClosedError", "'hangs_up' at URL did not answer: "),
        ("says_nothing", "InvalidResponse", "'says_nothing' at URL did not answer with JSON: "),
    ],
)
def test_what_goes_wrong_there_fails_the_invocation_by_its_name(
    endpoint: Started, capsys: Output, function: str, kind: str, message: str
):
    failure = first_failure(capsys, started(capsys, function))
    assert failure["type"] == kind
    assert failure["message"].startswith(message.replace("URL", endpoint.url))


def test_an_endpoint_that_dies_fails_the_invocation_and_the_next_one_goes_on(
    capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    marker = json.dumps({"marker": str(tmp_path / "marker")})
    with both() as (server, endpoint):
        ask(monkeypatch, server)
        arn = started(capsys, "dies_once", f"--input={marker}")
        failure = first_failure(capsys, arn)
        assert failure["type"] == "ConnectionClosedError"
        assert failure["message"].startswith(f"'dies_once' at {endpoint.url} did not answer: ")
        assert endpoint.process.wait(10) == 3
        with lambda_endpoint(endpoint.url.rpartition(":")[2]) as another:
            another.checkpoint_at(server.url)
            wait_for_the_end(arn)
            got = asked(capsys, "get-durable-execution", f"--durable-execution-arn={arn}")
            charged = f"charged by {endpoint.process.pid}"
            assert json.loads(got["Result"]) == [charged, another.process.pid]


def test_an_endpoint_that_is_not_there_fails_the_invocation_and_is_said_in_the_log(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with serving(f"--lambda-endpoint={url}", "--log-level=WARNING") as server:
        ask(monkeypatch, server)
        failure = first_failure(capsys, started(capsys, "order"))
        message = f"Nobody answers for 'order' at {url}: is the Lambda endpoint running?"
        assert failure == {"type": "EndpointConnectionError", "message": message}
        line = server.process.stderr.readline()
    logger = "async_durable_execution_runner.worker.sdk.elsewhere"
    assert f" WARNING {logger}: order at {url} failed: " in line


def test_an_endpoint_that_does_not_answer_in_time_is_a_failure_with_that_name(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("async_durable_execution_runner.web.server._PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with WebRunner(WebRunnerConfig(WebServiceConfig(port=0), lambda_endpoint=url)) as runner:
            ask(monkeypatch, runner)
            failure = first_failure(capsys, started(capsys, "order"))
    assert failure["type"] == "ReadTimeoutError"
    assert failure["message"].startswith(f"'order' at {url} did not answer: ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_server_ends_when_asked_and_leaves_nothing(number: int, code: int):
    with serving() as server:
        pid = server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        watched = [Watched(int(child)) for child in children]
        assert watched
        server.process.send_signal(number)
        assert server.process.wait(10) == code
        assert all_gone(watched, 5)


def test_a_web_runner_is_started_and_stopped_by_hand():
    runner = WebRunner(WebRunnerConfig(web_service=WebServiceConfig(port=0)))
    with pytest.raises(NotStarted, match="not started"):
        runner.serve_forever()
    for _ in range(2):
        runner.start()
        assert runner.endpoint_url.startswith("http://127.0.0.1:")
        with pytest.raises(NotStarted, match="started already"):
            runner.start()
        runner.stop()
        runner.stop()


def test_requests_from_elsewhere_are_signed(capsys: Output, monkeypatch: pytest.MonkeyPatch):
    with (
        lambda_endpoint() as endpoint,
        serving(
            "--host=0.0.0.0",
            "--access-key=AKID",
            AWS_DEX_LAMBDA_ENDPOINT=endpoint.url,
            DURABLE_RUNNER_SECRET_KEY="secret",
        ) as server,
    ):
        endpoint.checkpoint_at(server.url)
        ask(monkeypatch, server)
        assert main(["invoke", "--function-name=order"]) == 1
        assert "UnrecognizedClientException" in capsys.readouterr().err
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        wait_for_the_end(started(capsys, "order", '--input={"order": 1}'))


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["start-server", "--host=0.0.0.0"], 1, "0.0.0.0 can be reached from other machines"),
        (["start-server", "--store-type=sqlite"], 2, "there is none but 'memory' yet"),
        (["start-server", "--store-type=filesystem"], 2, "store of type 'filesystem'"),
        (["start-server", "--port=PORT"], 1, "address already in use"),
        (["invoke", "--function-name=order"], 1, "Nobody answers at http://127.0.0.1:9"),
        (["get-durable-execution", "--durable-execution-arn=a"], 1, "Nobody answers at"),
        (["get-durable-execution-history", "--durable-execution-arn=a"], 1, "Nobody answers at"),
    ],
)
def test_what_goes_wrong_is_one_line(
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    complaint: str,
):
    monkeypatch.setenv("AWS_DEX_LOCAL_RUNNER_ENDPOINT", "http://127.0.0.1:9")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main([argument.replace("PORT", port) for argument in arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("dex-local-runner: ")
    assert complaint in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        ([], {}, "the following arguments are required: command"),
        (["invoke"], {}, "the following arguments are required: --function-name"),
        (["invoke", "--function-name=a", "--input={"], {}, "--input: this is not JSON"),
        (["get-durable-execution"], {}, "required: --durable-execution-arn"),
        (["start-server", "--port=web"], {}, "--port: a port is needed"),
        (["start-server"], {"AWS_DEX_PORT": "web"}, "--port: a port is needed"),
        (["start-server"], {"AWS_DEX_LOG_LEVEL": "LOUD"}, "--log-level: one of CRITICAL, "),
        (["start-server"], {"AWS_DEX_LAMBDA_ENDPOINT": "sam"}, "--lambda-endpoint: a URL is"),
        (
            ["invoke", "--function-name=a"],
            {"AWS_DEX_LOCAL_RUNNER_ENDPOINT": "here"},
            "--local-runner-endpoint: a URL is needed",
        ),
    ],
)
def test_a_command_that_is_called_wrongly_says_how_it_is_called(
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    complaint: str,
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert complaint in capsys.readouterr().err
