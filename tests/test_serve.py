"""`durable-runner serve` as its users meet it: a process, a URL, unmodified boto3."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from processes import Watched, all_gone

from async_durable_execution_runner import serve
from async_durable_execution_runner.config import FunctionConfig
from async_durable_execution_runner.engine import Engine
from async_durable_execution_runner.errors import HandlerNotLoadable

pytestmark = pytest.mark.processes

ORDERS = """
import os
from datetime import timedelta
from async_durable_execution import durable_execution, step, wait

async def charge():
    return os.environ["STAGE"]

@durable_execution
async def place(event):
    charged = await step(charge, name="charge")
    await wait(timedelta(days=1), name="cool off")
    return {"order": event["order"], "charged": charged}

def price(event, context):
    return {"price": 7, "by": context.function_name}
"""

FUNCTIONS = """
[functions.PlaceOrder]
handler = "orders:place"
code = "code"
environment = { STAGE = "test" }
aliases = ["prod"]

[functions.Price]
handler = "orders.price"
code = "code"
"""

TEMPLATE = """
Resources:
  Price:
    Type: AWS::Serverless::Function
    Properties: {Handler: orders.price, CodeUri: code, MemorySize: 512}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "orders.py").write_text(ORDERS)
    (tmp_path / "functions.toml").write_text(FUNCTIONS)
    return tmp_path


@contextmanager
def serving(folder: Path, *arguments: str, **environment: str) -> Iterator[tuple[Any, str, str]]:
    """The process, what it said before the line to copy, and the URL in that line."""
    command = [sys.executable, "-m", "async_durable_execution_runner.cli", "serve", *arguments]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = ""
        try:
            for line in process.stdout:
                said += line
                if found := re.match("export AWS_ENDPOINT_URL_LAMBDA=(.*)", line):
                    yield process, said, found[1]
                    break
            else:
                pytest.fail(process.stderr.read())
        finally:
            process.kill()


def client(url: str, key: str = "any", secret: str = "any") -> Any:
    return boto3.client(
        "lambda",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def test_functions_of_a_file_answer_boto3(project: Path):
    with serving(project, "--functions=functions.toml", "--skip-time", "--workers=1") as (
        _,
        said,
        url,
    ):
        assert "PlaceOrder (:prod)  orders:place  durable" in said
        assert "Price  orders.price  plain" in said
        aws = client(url)
        placed = aws.invoke(FunctionName="PlaceOrder", Qualifier="prod", Payload=b'{"order": 1}')
        assert json.loads(placed["Payload"].read()) == {"order": 1, "charged": "test"}
        assert placed["DurableExecutionArn"]
        price = aws.invoke(FunctionName="Price", Payload=b"{}")
        assert json.loads(price["Payload"].read()) == {"price": 7, "by": "Price"}


def test_functions_of_a_template_answer_boto3(project: Path):
    (project / "template.yaml").write_text(TEMPLATE)
    with serving(project, "--template=template.yaml", "--workers=1") as (_, said, url):
        assert "Price  orders.price  plain" in said
        answer = client(url).invoke(FunctionName="Price", Payload=b"{}")
        assert json.loads(answer["Payload"].read())["price"] == 7


def test_a_function_of_an_argument_is_found_from_here(project: Path):
    with serving(project / "code", "--function=Price=orders:price", "--workers=1") as (_, _, url):
        answer = client(url).invoke(FunctionName="Price", Payload=b"{}")
        assert json.loads(answer["Payload"].read())["price"] == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked_and_leaves_nothing(project: Path, number: int):
    with serving(project / "code", "--function=Price=orders:price", "--workers=1") as (
        process,
        _,
        url,
    ):
        client(url).invoke(FunctionName="Price", Payload=b"{}")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        watched = [Watched(int(child)) for child in children]
        assert watched
        process.send_signal(number)
        assert process.wait(10) == 0
        assert all_gone(watched, 5)


def test_a_key_is_demanded_where_one_is_given(project: Path):
    with serving(
        project / "code",
        "--function=Price=orders:price",
        "--access-key=AKID",
        DURABLE_RUNNER_SECRET_KEY="secret",
    ) as (_, _, url):
        assert client(url, "AKID", "secret").list_functions()["Functions"]
        with pytest.raises(ClientError, match="signature"):
            client(url, "AKID", "wrong").list_functions()


@pytest.mark.parametrize(("skip_time", "expected"), [(False, None), (True, 5)])
def test_what_only_fails_goes_on_until_its_time_out_where_a_pause_takes_time(
    monkeypatch: pytest.MonkeyPatch, skip_time: bool, expected: int | None
):
    noted = []

    class Noting(Engine):
        def __init__(self, *args: Any, **options: Any) -> None:
            noted.append(options["invocation_retries"])
            super().__init__(*args, **options)

    monkeypatch.setattr(serve, "Engine", Noting)
    with pytest.raises(HandlerNotLoadable):
        serve.serve(
            [FunctionConfig("Price", "nowhere:price")],
            host="127.0.0.1",
            port=0,
            say=print,
            skip_time=skip_time,
        )
    assert noted == [expected]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Nothing to serve: give --function, --functions or --template."),
        (["--function=Price"], "not of the form NAME=MODULE:HANDLER"),
        (["--function=Price=nowhere:price"], "There is no nowhere:price"),
        (["--functions=missing.toml"], "missing.toml cannot be read"),
        (
            ["--function=Price=orders:price", "--access-key=A"],
            "DURABLE_RUNNER_SECRET_KEY is not set",
        ),
        (["--function=Price=orders:price", "--host=0.0.0.0"], "key"),
    ],
)
def test_what_cannot_be_served_is_one_line(project: Path, arguments: list[str], complaint: str):
    done = subprocess.run(
        [sys.executable, "-m", "async_durable_execution_runner.cli", "serve", *arguments],
        cwd=project / "code",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
