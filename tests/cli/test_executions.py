"""The commands that ask Lambda, against a runner's AWS API, as a person or a script uses them."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from async_durable_execution import durable_execution, step, wait, wait_for_callback

from async_durable_execution_runner import DurableFunctionTestRunner
from async_durable_execution_runner.aws import api
from async_durable_execution_runner.cli import executions
from async_durable_execution_runner.cli.main import main

pytestmark = pytest.mark.processes


async def charge() -> str:
    return "charged"


async def submit() -> None:
    pass


@durable_execution
async def order(event: dict) -> dict:
    charged = await step(charge, name="charge")
    await wait(timedelta(seconds=1), name="cool off")
    if event["approve"]:
        return {"approval": await wait_for_callback(submit, name="approval")}
    return {"charged": charged}


def fails(event: dict, context: object) -> None:
    raise ValueError("no")


def tells_tenant(event: dict, context: object) -> str:
    return context.tenant_id


@pytest.fixture
def runner(make_durable_runner: Any) -> DurableFunctionTestRunner:
    runner: DurableFunctionTestRunner = make_durable_runner(order, workers=2)
    runner.register_function("fails", fails)
    runner.register_durable_function("long", order, execution_timeout=timedelta(hours=1))
    runner.register_function("tells_tenant", tells_tenant)
    return runner


@pytest.fixture
def endpoint(runner: DurableFunctionTestRunner, monkeypatch: pytest.MonkeyPatch) -> str:
    url = runner.serve_aws_api()
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", url)
    return url


Output = pytest.CaptureFixture[str]


def said(output: Output, *arguments: str, code: int = 0) -> str:
    assert main(arguments) == code
    return output.readouterr().out


def started(output: Output, name: str, approve: bool) -> str:
    """The ARN of an execution of this name."""
    given = json.dumps({"approve": approve})
    arguments = f"--input={given}", f"--name={name}", "--event", "--json"
    answer = said(output, "invoke", "order", *arguments)
    return json.loads(answer)["DurableExecutionArn"]


def test_invoke_shows_execution_and_result(endpoint: str, capsys: Output):
    text = said(capsys, "invoke", "order", '--input={"approve": false}', "--name=first")
    assert "/durable-execution/first/" in text
    assert 'result       {"charged": "charged"}' in text
    answer = said(capsys, "invoke", "order", '--input={"approve": false}', "--json")
    assert json.loads(json.loads(answer)["Payload"]) == {"charged": "charged"}


def test_a_function_that_fails_is_an_exit_code(endpoint: str, capsys: Output):
    shown = said(capsys, "invoke", "fails", code=1)
    assert shown.startswith("error        {")
    assert '"errorMessage": "no"' in shown


def test_a_tenant_is_passed_on(endpoint: str, capsys: Output):
    shown = said(capsys, "invoke", "tells_tenant", "--tenant=acme")
    assert shown == 'result       "acme"\n'


def test_executions_are_listed_and_looked_at(endpoint: str, capsys: Output):
    for name in ("one", "two"):
        said(capsys, "invoke", "order", '--input={"approve": false}', f"--name={name}")
    lines = said(capsys, "executions", "list", "order").splitlines()
    assert [line.split()[-2] for line in lines] == ["two", "one"]
    assert all(re.search(r"SUCCEEDED  [\d.]+ m?s ", line) for line in lines)
    listed = json.loads(said(capsys, "executions", "list", "order", "--name=one", "--json"))
    (one,) = listed["DurableExecutions"]
    assert list(listed) == ["DurableExecutions"]
    assert len(said(capsys, "executions", "list", "order", "--most=1").splitlines()) == 1
    assert said(capsys, "executions", "list", "order", "--status=RUNNING") == ""
    shown = said(capsys, "executions", "get", one["DurableExecutionArn"])
    assert "SUCCEEDED" in shown
    assert '{"charged": "charged"}' in shown


def test_a_history_is_a_tree_and_a_timeline(endpoint: str, capsys: Output):
    said(capsys, "invoke", "order", '--input={"approve": false}', "--name=one")
    listed = json.loads(said(capsys, "executions", "list", "order", "--json"))
    arn = listed["DurableExecutions"][0]["DurableExecutionArn"]
    text = said(capsys, "executions", "history", arn)
    assert "├─ step charge" in text
    assert "└─ wait cool off" in text
    assert "StepSucceeded" in text
    assert "       0.000 s     1  ExecutionStarted" in text
    # Since then, not since the event before.
    assert float(text.splitlines()[-1].split()[0]) >= 1
    events = json.loads(said(capsys, "executions", "history", arn, "--json"))["Events"]
    assert events[0]["EventType"] == "ExecutionStarted"
    assert events[-1]["EventType"] == "ExecutionSucceeded"
    payload = events[-1]["ExecutionSucceededDetails"]["Result"]["Payload"]
    assert payload == '{"charged": "charged"}'


def test_an_execution_is_named_by_its_function_and_name(
    endpoint: str,
    capsys: Output,
    runner: DurableFunctionTestRunner,
    monkeypatch: pytest.MonkeyPatch,
):
    arn = started(capsys, "third", approve=True)
    runner.wait_for_callback(arn, "approval")
    eaten = arn.replace("$LATEST", "")
    assert eaten != arn
    for named in ("order/third", eaten, arn):
        assert arn in said(capsys, "executions", "get", named)
    assert main(["executions", "get", "order/no-such"]) == 1
    assert "order has no execution named no-such." in capsys.readouterr().err
    assert main(["callback", "succeed"]) == 2
    assert "Give the callback's ID, or --execution" in capsys.readouterr().err
    assert main(["executions", "get", "third"]) == 1
    assert "give its ARN, or FUNCTION/NAME" in capsys.readouterr().err
    answer = "--execution=order/third", "--name=approval", "--result=yes"
    made = []
    make_client = api.make_client
    with monkeypatch.context() as counting:
        counting.setattr(api, "make_client", lambda *a, **k: made.append(1) or make_client(*a, **k))
        assert said(capsys, "callback", "succeed", *answer).startswith("succeeded    ")
    assert len(made) == 1
    assert json.loads(runner.wait_for_result(arn).result or "") == {"approval": "yes"}
    assert said(capsys, "diff", "order/third", arn).startswith("The same")
    assert "step charge" in said(capsys, "executions", "history", "order/third")


def test_a_list_may_have_several_pages(
    endpoint: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(executions, "_PAGE", 2)
    for name in ("one", "two", "three"):
        said(capsys, "invoke", "order", '--input={"approve": false}', f"--name={name}")
    lines = said(capsys, "executions", "list", "order", "--most=2000").splitlines()
    assert [line.split()[-2] for line in lines] == ["three", "two", "one"]
    assert len(said(capsys, "executions", "list", "order", "--most=1").splitlines()) == 1


@pytest.mark.parametrize(
    "command", [["invoke", "order"], ["executions", "stop", "order/x"], ["callback", "fail", "id"]]
)
def test_what_asks_lambda_itself_says_so_and_in_which_account(
    command: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    class Sts(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = (
                b"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>210987654321"
                b"</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.delenv("AWS_ENDPOINT_URL_LAMBDA", raising=False)
    server = HTTPServer(("127.0.0.1", 0), Sts)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    # There is no such region, so nobody answers.
    assert main([*command, "--region=nowhere-1"]) == 1
    server.shutdown()
    thread.join()
    server.server_close()
    asked, failed = capsys.readouterr().err.splitlines()
    assert asked.endswith("asking AWS Lambda in account 210987654321, nowhere-1.")
    assert "Nobody answers at https://lambda.nowhere-1.amazonaws.com" in failed


@pytest.mark.parametrize(
    "command",
    [["invoke", "order"], ["callback", "succeed", "id"], ["diff", "order/one", "order/other"]],
)
def test_without_a_region_it_is_said_that_lambda_itself_is_to_be_asked(
    capsys: Output, monkeypatch: pytest.MonkeyPatch, command: list[str]
):
    for name in ("REGION", "DEFAULT_REGION", "PROFILE", "ENDPOINT_URL", "ENDPOINT_URL_LAMBDA"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    assert main(command) in (1, 2)
    assert capsys.readouterr().err.partition(": ")[2] == (
        "Lambda itself is to be asked, as neither --endpoint nor AWS_ENDPOINT_URL_LAMBDA is "
        "given, but no AWS region is configured: give --region, or set AWS_DEFAULT_REGION.\n"
    )


@pytest.mark.usefixtures("endpoint")
def test_callbacks_are_answered(runner: DurableFunctionTestRunner, capsys: Output):
    arn = started(capsys, "approved", approve=True)
    callback_id = runner.wait_for_callback(arn, "approval")
    assert said(capsys, "callback", "heartbeat", callback_id) == f"heartbeat    {callback_id}\n"
    answer = said(capsys, "callback", "succeed", callback_id, "--result=yes")
    assert answer == f"succeeded    {callback_id}\n"
    assert main(["callback", "succeed", callback_id]) == 1
    assert "durable-runner: " in capsys.readouterr().err

    assert json.loads(runner.wait_for_result(arn).result or "") == {"approval": "yes"}

    arn = started(capsys, "refused", approve=True)
    callback_id = runner.wait_for_callback(arn, "approval")
    answer = said(capsys, "callback", "fail", callback_id, "--message=no", "--type=Refused")
    assert answer == f"failed       {callback_id}\n"
    answered = next(
        each for each in runner.wait_for_result(arn).history if each.event_type == "CallbackFailed"
    )
    assert (answered.details["error"].message, answered.details["error"].type) == ("no", "Refused")


@pytest.mark.usefixtures("endpoint")
def test_a_callback_of_another_name_is_named(runner: DurableFunctionTestRunner, capsys: Output):
    arn = started(capsys, "misnamed", approve=True)
    runner.wait_for_callback(arn, "approval")
    assert main(["callback", "succeed", "--execution", arn, "--name=aproval"]) == 1
    assert "No callback 'aproval' was open (open: 'approval'); " in capsys.readouterr().err


@pytest.mark.usefixtures("endpoint")
def test_an_execution_is_stopped(runner: DurableFunctionTestRunner, capsys: Output):
    arn = started(capsys, "stopped", approve=True)
    runner.wait_for_callback(arn, "approval")
    answer = said(capsys, "executions", "stop", arn, "--error=enough", "--json")
    assert list(json.loads(answer)) == ["StopTimestamp"]
    shown = said(capsys, "executions", "get", arn)
    assert "STOPPED" in shown
    assert "enough" in shown

    arn = started(capsys, "stopped-without-a-reason", approve=True)
    assert said(capsys, "executions", "stop", arn) == f"stopped      {arn}\n"
    assert "error        without a type or a message" in said(capsys, "executions", "history", arn)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["invoke", "nobody"], "There is no function 'nobody'"),
        (["invoke", "long"], "than 15 minutes. Give --event, and ask for its end with `durable-r"),
        (["executions", "get", "arn:none"], "does not name an execution"),
        (["executions", "list", "nobody"], "nobody"),
        (["callback", "succeed", "none"], "callback"),
        (["callback", "heartbeat", "none"], "callback"),
        (["invoke", "order", "--endpoint=http://127.0.0.1:9"], "Nobody answers at"),
    ],
)
def test_what_goes_wrong_is_one_line(
    endpoint: str, capsys: Output, arguments: list[str], complaint: str
):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert complaint.lower() in error.lower()
    assert error.startswith("durable-runner: ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["invoke"], "the following arguments are required: FUNCTION"),
        (["invoke", "order", "--input={"], "--input: this is not JSON: Expecting property name"),
        (["invoke", "order", "--endpoint=here"], "--endpoint: a URL is needed, as in http://"),
        (["invoke", "order", "--endpoint=ftp://here"], "--endpoint: a URL is needed"),
        (["invoke", "order", "--endpoint=http://:1"], "--endpoint: a URL is needed"),
        (["invoke", "order", "--endpoint=http://a:99999"], "--endpoint: a URL is needed"),
        (["invoke", "\udcff"], "'\\udcff' is not UTF-8"),
        (["executions"], "the following arguments are required: kind"),
        (["executions", "list", "order", "--most=0"], "--most: a whole number from 1"),
        (["executions", "list", "order", "--status=DONE"], "--status: invalid choice: 'DONE'"),
        (["executions", "get"], "the following arguments are required: EXECUTION"),
        (["callback", "succeed", "a", "--result=\udcff"], "--result: '\\udcff' is not UTF-8"),
    ],
)
def test_a_command_that_is_called_wrongly_says_how_it_is_called(
    capsys: Output, arguments: list[str], complaint: str
):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert complaint in capsys.readouterr().err


def test_an_endpoint_of_the_environment_is_checked_too(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "127.0.0.1:9001")
    with pytest.raises(SystemExit, match="2"):
        main(["executions", "get", "arn"])
    assert "a URL is needed, as in http://127.0.0.1:9001" in capsys.readouterr().err
