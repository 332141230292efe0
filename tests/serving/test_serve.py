"""`durable-runner serve` as its users meet it: a process, a URL, unmodified boto3."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from processes import Watched, all_gone, children

from async_durable_execution_runner.serving import serve

from .process import COMMAND, client, invoked, serving, url_in

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

@durable_execution
async def dies(event):
    os._exit(3)

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
log_format = "JSON"

[functions.Brief]
handler = "orders:place"
code = "code"
retention_days = 7
execution_timeout = 60
"""

DIES = """
[functions.Dies]
handler = "orders:dies"
code = "code"
execution_timeout = SECONDS
"""

TEMPLATE = """
Resources:
  Price:
    Type: AWS::Serverless::Function
    Properties: {Handler: orders.price, CodeUri: code, MemorySize: 512}
"""


def write(folder: Path) -> Path:
    (folder / "code").mkdir()
    (folder / "code" / "orders.py").write_text(ORDERS)
    (folder / "functions.toml").write_text(FUNCTIONS)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, Any]]:
    """A server for all tests that only ask: its process, what it said, and a client."""
    project = write(tmp_path_factory.mktemp("served"))
    functions = ""
    # As in a template with a CodeUri for each.
    for name in ("one", "two"):
        (project / name).mkdir()
        (project / name / "app.py").write_text(
            f"import os\nSTAGE = os.environ['STAGE']\n"
            f"def handler(event, context):\n    return [{name!r}, STAGE]\n"
        )
        functions += (
            f'[functions.{name}]\nhandler = "app.handler"\ncode = "{name}"\n'
            f'environment = {{ STAGE = "{name}" }}\n'
        )
    # As in one folder of code for several functions.
    (project / "code" / "app.py").write_text(
        "import settings\ndef handler(event, context):\n    return settings.STAGE\n"
    )
    (project / "code" / "settings.py").write_text("import os\nSTAGE = os.environ['STAGE']\n")
    for name in ("three", "four"):
        functions += (
            f'[functions.{name}]\nhandler = "app.handler"\ncode = "code"\n'
            f'environment = {{ STAGE = "{name}" }}\n'
        )
    (project / "functions.toml").write_text(FUNCTIONS + functions)
    arguments = ("--functions=functions.toml", "--skip-time", "--workers=1", "--verbose")
    with serving(project, *arguments) as (process, said, url):
        yield process, said, client(url)


def test_functions_of_a_file_answer_boto3(served: tuple[Any, str, Any]):
    _, said, aws = served
    assert "PlaceOrder (:prod)  orders:place  durable" in said
    assert "Price  orders.price  plain" in said
    placed = aws.invoke(FunctionName="PlaceOrder", Qualifier="prod", Payload=b'{"order": 1}')
    assert json.loads(placed["Payload"].read()) == {"order": 1, "charged": "test"}
    assert placed["DurableExecutionArn"]
    assert invoked(aws, "Price") == {"price": 7, "by": "Price"}


def test_functions_of_one_name_in_several_folders_are_kept_apart(served: tuple[Any, str, Any]):
    """They read their variables when they are imported."""
    _, _, aws = served
    for name in ("one", "two", "one"):
        assert invoked(aws, name) == [name, name]


def test_a_module_of_several_functions_sees_the_variables_of_each(served: tuple[Any, str, Any]):
    """It reads them when it is imported."""
    _, _, aws = served
    names = ["three", "four", "three"]
    assert [invoked(aws, name) for name in names] == names


def test_what_lambda_would_have_configured_is_told(served: tuple[Any, str, Any]):
    _, _, aws = served
    brief = aws.get_function_configuration(FunctionName="Brief")
    assert brief["DurableConfig"] == {"ExecutionTimeout": 60, "RetentionPeriodInDays": 7}
    price = aws.get_function_configuration(FunctionName="Price")
    assert price["LoggingConfig"] == {"LogFormat": "JSON"}


def test_serving_can_be_heard(served: tuple[Any, str, Any]):
    process, _, aws = served
    assert invoked(aws, "PlaceOrder", b'{"order": "s3cret"}')["order"] == "s3cret"
    with pytest.raises(ClientError):
        aws.invoke(FunctionName="Nobody", Payload=b"{}")
    refused = "POST /2015-03-31/functions/Nobody/invocations refused, ResourceNotFoundException: "
    heard = ""
    for line in process.stderr:
        heard += line
        if refused in line:
            break
    for line in (
        ">> Started: 'PlaceOrder' with 19 bytes of input, arn:aws:lambda:",
        ".. time skips 1 d, to when wait 'cool off' is due",
        "<< Finish: SUCCEEDED (",
        refused,
    ):
        assert line in heard
    assert "s3cret" not in heard


def test_functions_of_a_template_answer_boto3_with_a_key_where_one_is_given(project: Path):
    (project / "template.yaml").write_text(TEMPLATE)
    arguments = ("--template=template.yaml", "--workers=1", "--access-key=AKID")
    arguments += ("--region=eu-west-1", "--account=210987654321")
    with serving(project, *arguments, DURABLE_RUNNER_SECRET_KEY="secret") as (_, said, url):
        assert "export AWS_DEFAULT_REGION=eu-west-1\n" in said
        assert "Price  orders.price  plain" in said
        price = client(url, "AKID", "secret").get_function_configuration(FunctionName="Price")
        assert price["FunctionArn"].startswith("arn:aws:lambda:eu-west-1:210987654321:function:")
        assert invoked(client(url, "AKID", "secret"), "Price")["price"] == 7
        with pytest.raises(ClientError, match="signature"):
            client(url, "AKID", "wrong").list_functions()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_function_of_an_argument_is_found_from_here_and_ends_when_asked(
    project: Path, number: int
):
    """Nothing is left."""
    with serving(project / "code", "--function=Price=orders:price", "--workers=1") as (
        process,
        _,
        url,
    ):
        assert invoked(client(url), "Price")["price"] == 7
        watched = children(process.pid)
        assert watched
        process.send_signal(number)
        assert process.wait(10) == 0
        assert all_gone(watched, 5)


def test_it_ends_when_asked_while_it_begins(project: Path):
    """Long before the functions are known: a handler's module takes its time."""
    fifo = project / "fifo"
    os.mkfifo(fifo)
    slow = f"import time\nopen({str(fifo)!r}, 'w').close()\ntime.sleep(60)\n"
    (project / "slow.py").write_text(slow)
    with subprocess.Popen(
        [*COMMAND, "serve", "--function=Slow=slow:handler"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            fifo.read_bytes()
            watched = children(process.pid)
            importing = next(each for each in watched if b"serving.discovery" in each.command)
            watched += children(importing.pid)
            assert len(watched) == 4
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert all_gone(watched, 5)
        finally:
            process.kill()
        assert b"export AWS_ENDPOINT_URL_LAMBDA=" in process.stdout.read().splitlines()[-2]
        assert process.stderr.read() == b""


def test_it_listens_before_handlers_are_imported_and_requests_wait(project: Path):
    """None is answered as if the functions that are known so far were all."""
    fifo = project / "fifo"
    os.mkfifo(fifo)
    (project / "code" / "slow.py").write_text(
        f"import os\nif 'SLOW' in os.environ: open({str(fifo)!r}).read()\n"
        "def handler(event, context):\n    return context.function_name\n"
    )
    (project / "functions.toml").write_text(
        '[functions.Quick]\nhandler = "orders:price"\ncode = "code"\n'
        '[functions.Slow]\nhandler = "slow:handler"\ncode = "code"\nenvironment = { SLOW = "1" }\n'
    )
    with subprocess.Popen(
        [*COMMAND, "serve", "--functions=functions.toml"],
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            said = ""
            while "AWS_ENDPOINT_URL_LAMBDA" not in said:
                said += process.stdout.readline()
            aws = client(url_in(said))
            with ThreadPoolExecutor() as asking:
                listed = asking.submit(aws.list_functions)
                quick = asking.submit(invoked, aws, "Quick")
                fifo.write_bytes(b"")
                assert [each["FunctionName"] for each in listed.result()["Functions"]] == [
                    "Quick",
                    "Slow",
                ]
                assert quick.result() == {"price": 7, "by": "Quick"}
            rest = [process.stdout.readline()]
            while not rest[-1].endswith(" served.\n"):
                rest.append(process.stdout.readline())
            # On a busy machine the imports take long enough for a word on how far they are.
            assert [line for line in rest if " of 2 handlers " not in line] == [
                "\n",
                "Quick  orders:price  plain\n",
                "Slow  slow:handler  plain\n",
                "\n",
                "2 functions are served.\n",
            ]
        finally:
            process.kill()


_SPEAKS = """
import sys
for process in ("coordinator", "host"):
    if f"async_durable_execution_runner.{process}" in sys.orig_argv:
        print(f"the {process} speaks", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "speakers"),
    [
        (["cli.main", "serve", "--function=Slow=slow:handler"], ["coordinator", "host"]),
        (["cli.dex", "start-server"], ["coordinator"]),
    ],
    ids=["serve", "start-server"],
)
def test_what_its_processes_write_is_on_its_standard_error(
    project: Path, command: Sequence[str], speakers: Sequence[str]
):
    (project / "sitecustomize.py").write_text(_SPEAKS)
    (project / "slow.py").write_text("import time\ntime.sleep(60)\n")
    module, *arguments = command
    with subprocess.Popen(
        [sys.executable, "-m", f"async_durable_execution_runner.{module}", *arguments, "--port=0"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert select.select([process.stderr], [], [], 10)[0]
            heard = sorted(process.stderr.readline() for _ in speakers)
            assert heard == [f"the {each} speaks\n" for each in speakers]
        finally:
            process.kill()


@pytest.mark.skipif(os.cpu_count() == 1, reason="only one handler is imported at once")
def test_a_handler_that_cannot_be_had_leaves_no_other_half_imported(project: Path):
    for name in ("begun", "go"):
        os.mkfifo(project / name)
    for name in ("bad", "hangs"):
        (project / name).mkdir()
    (project / "bad" / "bad.py").write_text("open('go').read()\nraise ValueError('no\\nway')\n")
    (project / "hangs" / "hangs.py").write_text(
        "import os, time\nwith open('begun', 'w') as file:\n    file.write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    # Each has a code folder, and so a process, of its own.
    (project / "two.toml").write_text(
        '[functions.Bad]\nhandler = "bad:handler"\ncode = "bad"\n'
        '[functions.Hangs]\nhandler = "hangs:handler"\ncode = "hangs"\n'
    )
    with subprocess.Popen(
        [*COMMAND, "serve", "--functions=two.toml"],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            hanging = Watched(int((project / "begun").read_text()))
            (project / "go").write_bytes(b"")
            assert process.wait(20) == 1
            assert hanging.gone(5)
        finally:
            process.kill()
        # On a busy machine the imports take long enough for a word on how far they are.
        said = process.stderr.read().removeprefix("durable-runner: 1 of 2 handlers are imported.\n")
        assert said == (
            "durable-runner: Bad: bad:handler cannot be imported: ValueError: no way "
            f"({project / 'bad' / 'bad.py'}, line 2).\n"
        )


def test_without_its_coordinator_it_ends_and_says_why(project: Path):
    with serving(project / "code", "--function=Price=orders:price", "--workers=1") as (
        process,
        _,
        url,
    ):
        client(url).invoke(FunctionName="Price", Payload=b"{}")
        watched = children(process.pid)
        coordinator = next(each for each in watched if b"coordinator" in each.command)
        os.kill(coordinator.pid, signal.SIGKILL)
        assert process.wait(10) == 1
        assert all_gone(watched, 5)
        said = process.stderr.read().splitlines()
        # The worker host may have the time to say so, too.
        assert [each for each in said if not each.startswith("The coordinator at ")] == [
            "durable-runner: The coordinator was ended by SIGKILL (what it wrote is on standard "
            "error): serving has ended, and its executions are lost."
        ]


# Runs in every Python process of the server, before anything of ours.
_SHORT_PAUSES = """
from async_durable_execution_runner.runner.registration import Attachment
Attachment.__init__.__kwdefaults__["retry_backoff"] = 0.001
"""


@pytest.mark.parametrize(
    ("arguments", "seconds", "status", "failures"),
    [([], 2, "TIMED_OUT", range(7, 13)), (["--skip-time"], 60, "FAILED", [6])],
)
def test_what_only_fails_goes_on_until_its_time_out_where_a_pause_takes_time(
    project: Path, arguments: list[str], seconds: int, status: str, failures: Sequence[int]
):
    (project / "functions.toml").write_text(DIES.replace("SECONDS", str(seconds)))
    (project / "sitecustomize.py").write_text(_SHORT_PAUSES)
    options = ["--functions=functions.toml", *arguments]
    with serving(project, *options, PYTHONPATH=str(project)) as (_, _, url):
        aws = client(url)
        arn = aws.invoke(FunctionName="Dies")["DurableExecutionArn"]
        assert aws.get_durable_execution(DurableExecutionArn=arn)["Status"] == status
        events = aws.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
    assert [each["EventType"] for each in events].count("InvocationCompleted") in failures


PRICE = "--function=Price=orders:price"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ([], 2, "Nothing to serve: give --function, --functions or --template."),
        (["--function=Price"], 2, "not of the form NAME=MODULE:HANDLER"),
        (["--function=f g=orders:price"], 2, "'f g' is not a function's name"),
        ([PRICE, PRICE], 2, "Two functions have the name Price."),
        (["--functions=variable.toml"], 2, "functions.Price: env: no process can have 'A=B'='x' "),
        (["--functions=timeout.toml"], 2, "functions.Price: The number of seconds is too large."),
        (["--function=Price=nowhere:price"], 1, "There is no nowhere:price"),
        (["--function=Bad=bad:handler"], 1, "bad:handler cannot be imported: SyntaxError: "),
        (["--function=Gone=gone:handler"], 1, "Gone: importing gone:handler ended the process"),
        (["--functions=lost.toml", "--reload"], 2, "Price: its code, nowhere, is not a folder."),
        (["--functions=missing.toml"], 2, "missing.toml cannot be read"),
        (["--functions=."], 2, ". cannot be read: Is a directory"),
        (["--functions=no_text"], 2, "no_text is not TOML: 'utf-8' codec can't decode"),
        (["--template=no_text"], 2, "no_text is not YAML: 'utf-8' codec can't decode"),
        ([PRICE, "--access-key=A"], 2, "DURABLE_RUNNER_SECRET_KEY is not set"),
        ([PRICE, "--access-key="], 2, "--access-key: "),
        ([PRICE, "--host=0.0.0.0"], 1, "key"),
        ([PRICE, "--logs=orders.py/logs"], 2, "--logs: orders.py/logs cannot be written to: Not "),
        # This is known before anything is imported.
        (["--function=Price=nowhere:price", "--port=PORT"], 1, "address already in use"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    project: Path, arguments: list[str], code: int, complaint: str
):
    (project / "code" / "bad.py").write_text("def (\n")
    lost = "[functions.Price]\nhandler = 'orders:price'\ncode = 'nowhere'\n"
    (project / "code" / "lost.toml").write_text(lost)
    price = "[functions.Price]\nhandler = 'orders:price'\n"
    (project / "code" / "variable.toml").write_text(f"{price}environment = {{'A=B' = 'x'}}\n")
    (project / "code" / "timeout.toml").write_text(f"{price}timeout = 0x{'f' * 4000}\n")
    (project / "code" / "gone.py").write_text("import os\nos._exit(3)\n")
    (project / "code" / "no_text").write_bytes(b"\xff\xfe\x00")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [
                *COMMAND,
                "serve",
                *(argument.replace("PORT", port) for argument in arguments),
            ],
            cwd=project / "code",
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == code
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_says_how_far_the_imports_are_while_some_are_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve, "_PROGRESS_SECONDS", -1.0)
    said: list[str] = []
    done = serve._progress(3, said.append)
    for number in (1, 2, 3):
        done(number)
    assert said == ["1 of 3 handlers are imported.\n", "2 of 3 handlers are imported.\n"]
