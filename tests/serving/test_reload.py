"""`serve --reload`: what has changed is served, and what has begun goes on."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from async_durable_execution_runner.serving.functions_file import FunctionConfig
from async_durable_execution_runner.serving.serve import Reload, _Reloading

from .process import client, invoked, serving

pytestmark = pytest.mark.processes

HANDLERS = """
from async_durable_execution import durable_execution, wait_for_callback
import prices

def price(event, context):
    return prices.PRICE

def held(event, context):
    open(event["fifo"], "w").close()
    before = prices.PRICE
    open(event["fifo"]).read()
    return [before, price(event, context)]

async def submit():
    pass

@durable_execution
async def order(event):
    approval = await wait_for_callback(submit, name="approval")
    return [approval, prices.PRICE]
"""

FUNCTIONS = """
[functions.Price]
handler = "handlers:price"
code = "code"
[functions.Held]
handler = "handlers:held"
code = "code"
[functions.Order]
handler = "handlers:order"
code = "code"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "handlers.py").write_text(HANDLERS)
    (tmp_path / "functions.toml").write_text(FUNCTIONS)
    price(tmp_path, 1)
    return tmp_path


def price(project: Path, value: object) -> None:
    path = project / "code" / "prices.py"
    path.write_text(f"PRICE = {value}\n")
    # All within one second, by which bytecode would be told from an older one.
    os.utime(path, ns=(0, 1_750_000_000_000_000_000 + len(str(value))))


def reloaded(process: subprocess.Popen[str]) -> str:
    """Wait until it says so; of what."""
    line = process.stdout.readline()
    assert line.startswith("Reloaded: "), line
    return line.removeprefix("Reloaded: ").strip()


@pytest.fixture
def served(project: Path) -> Iterator[tuple[Any, Any]]:
    arguments = ("--functions=functions.toml", "--reload", "--workers=2")
    # Not as it may be set around the tests.
    with serving(project, *arguments, PYTHONDONTWRITEBYTECODE="") as (process, _, url):
        yield process, client(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_next_invocation_runs_the_new_code(project: Path, served: tuple[Any, Any]):
    """In a module that the handler's imports, as often as it changes, of the same size."""
    process, aws = served
    for value in (2, 3, 4):
        assert invoked(aws, "Price") == value - 1
        price(project, value)
        assert reloaded(process) == "prices.py"
        assert invoked(aws, "Price") == value


def test_an_invocation_under_way_ends_on_the_old_code(
    project: Path, served: tuple[Any, Any], tmp_path: Path
):
    process, aws = served
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    results = []
    payload = json.dumps({"fifo": str(fifo)}).encode()
    held = threading.Thread(target=lambda: results.append(invoked(aws, "Held", payload)))
    held.start()
    fifo.read_bytes()
    price(project, 2)
    reloaded(process)
    assert invoked(aws, "Price") == 2
    fifo.write_bytes(b"")
    held.join(20)
    assert results == [[1, 1]]
    # Its process does not serve again.
    assert [invoked(aws, "Price") for _ in range(4)] == [2] * 4


def test_an_execution_that_waits_goes_on_with_the_new_code(project: Path, served: tuple[Any, Any]):
    process, aws = served
    arn = aws.invoke(FunctionName="Order", InvocationType="Event")["DurableExecutionArn"]
    callback_id = None
    while callback_id is None:
        events = aws.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
        details = (each.get("CallbackStartedDetails") for each in events)
        callback_id = next((each["CallbackId"] for each in details if each), None)
    price(project, 2)
    reloaded(process)
    aws.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"yes")
    found: Any = {}
    while found.get("Status", "RUNNING") == "RUNNING":
        found = aws.get_durable_execution(DurableExecutionArn=arn)
    assert json.loads(found["Result"]) == ["yes", 2]


def test_a_mistake_is_told_and_only_workers_that_have_the_old_code_go_on(
    project: Path, served: tuple[Any, Any]
):
    process, aws = served
    assert invoked(aws, "Price") == 1
    price(project, "(")
    sentence = process.stderr.readline()
    assert sentence.startswith("durable-runner: Not reloaded: Price: ")
    assert "handlers:price cannot be imported: SyntaxError: " in sentence
    assert "(prices.py, line 1)" in sentence
    assert sentence.endswith(
        ". What a worker has already goes on with the old code; whatever imports this anew fails "
        "until it is mended.\n"
    )
    assert invoked(aws, "Price") == 1
    # No worker has this function yet.
    failed = json.load(aws.invoke(FunctionName="Held", Payload=b"{}")["Payload"])
    assert failed["errorType"] == "Runtime.UserCodeSyntaxError"
    assert [line for line in failed["stackTrace"] if "importlib" in line] == []
    price(project, 3)
    reloaded(process)
    assert invoked(aws, "Price") == 3


def test_a_changed_file_of_functions_is_read_again(project: Path, served: tuple[Any, Any]):
    """An editor may put another file in its place; the code is then in another folder."""
    process, aws = served
    (project / "more").mkdir()
    (project / "more" / "added.py").write_text("def handler(event, context):\n    return 1\n")
    other = project / "other.toml"
    other.write_text(
        '[functions.Price]\nhandler = "handlers:price"\ncode = "code"\n'
        '[functions.Added]\nhandler = "added:handler"\ncode = "more"\n'
    )
    other.rename(project / "functions.toml")
    assert reloaded(process) == "functions.toml"
    assert process.stdout.readline() == "Price  handlers:price  plain\n"
    assert process.stdout.readline() == "Added  added:handler  plain\n"
    assert invoked(aws, "Added") == 1
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.invoke(FunctionName="Order")
    (project / "more" / "added.py").write_text("def handler(event, context):\n    return 2\n")
    assert reloaded(process) == "added.py"
    assert invoked(aws, "Added") == 2
    (project / "functions.toml").write_text("[functions")
    assert "Not reloaded, and served as before: " in process.stderr.readline()
    assert invoked(aws, "Added") == 2


def test_what_a_handler_writes_is_no_change(project: Path, served: tuple[Any, Any]):
    """Neither a file of data nor bytecode: it would be loaded anew for ever."""
    process, aws = served
    assert invoked(aws, "Price") == 1
    (project / "code" / "orders.json").write_text("{}")
    (project / "code" / "__pycache__").mkdir(exist_ok=True)
    (project / "code" / "__pycache__" / "x.py").write_text("")
    price(project, 2)
    assert reloaded(process) == "prices.py"


@pytest.mark.usefixtures("served")
def test_it_ends_when_asked_while_it_reloads(project: Path):
    fifo = project / "fifo"
    os.mkfifo(fifo)
    price(project, f"open({str(fifo)!r}, 'w').close()\nwhile True: pass")
    fifo.read_bytes()


class Served:
    """Takes whatever functions it is given."""

    def load(self, functions: Sequence[FunctionConfig]) -> list[str]:
        return []


def test_no_mistake_ends_the_watching(tmp_path: Path):
    """Not even one that nobody has thought of."""
    path = tmp_path / "template.yaml"
    path.touch()
    said, mistakes = queue.SimpleQueue[str](), [KeyError("Globals"), OSError("no\nfolder.")]

    def read() -> list[FunctionConfig]:
        if mistakes:
            raise mistakes.pop(0)
        return [FunctionConfig("F", "m:f", code=tmp_path)]

    reloading = _Reloading(Served(), Reload(read, [path]), said.put, said.put)  # type: ignore[arg-type]
    reloading.begin([])
    for expected in (
        "Not reloaded, and served as before: KeyError: 'Globals'.",
        "Not reloaded, and served as before: OSError: no folder.",
        "Reloaded: template.yaml\n",
    ):
        path.write_text(expected)
        assert said.get(timeout=10) == expected
    reloading.close()
