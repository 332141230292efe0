"""`serve --logs`: every line that a handler writes, whatever wrote it and however it ended."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .process import client, invoked, serving

pytestmark = pytest.mark.processes

HANDLERS = """
import json, logging, os, sys
from datetime import timedelta
from async_durable_execution import durable_execution, step, wait

async def charge():
    print("charging")

@durable_execution
async def order(event):
    await step(charge, name="charge")
    await wait(timedelta(seconds=1), name="cool off")
    print("done", file=sys.stderr)

def talks(event, context):
    print("printed")
    print(json.dumps({"own": "record"}))
    logging.getLogger("talks").warning("logged %s", event)
    os.system("echo from a shell")
    print("no end of line", end="")

def logs(event, context):
    logger = logging.getLogger("logs")
    logger.info("said", extra={"order": event})
    try:
        raise KeyError(event)
    except KeyError:
        logger.exception("failed")
    logging.getLogger().handlers[0].setFormatter(logging.Formatter("mine: %(message)s"))
    logger.info("formatted")

def dies(event, context):
    print("last words", flush=False)
    os.kill(os.getpid(), event)

def hangs(event, context):
    print("hanging")
    while True:
        pass
"""

FUNCTIONS = """
[functions.Order]
handler = "handlers:order"
[functions.Talks]
handler = "handlers:talks"
aliases = ["live"]
[functions.Logs]
handler = "handlers:logs"
log_format = "JSON"
[functions.Dies]
handler = "handlers:dies"
[functions.Hangs]
handler = "handlers:hangs"
timeout = 0.5
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "functions.toml").write_text(FUNCTIONS)
    return tmp_path


def records(project: Path, function: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (project / "logs" / f"{function}.jsonl").open()]


def test_every_line_lands_in_the_folder(project: Path):
    arguments = ("--functions=functions.toml", "--logs=logs", "--skip-time", "--workers=1")
    with serving(project, *arguments) as (process, _, url):
        aws = client(url)
        order = aws.invoke(FunctionName="Order", Payload=b"{}")
        invoked(aws, "Talks", b'"x"', Qualifier="live")
        invoked(aws, "Logs", b"7")
        for number in (signal.SIGKILL, signal.SIGSEGV):
            aws.invoke(FunctionName="Dies", Payload=str(int(number)).encode())
        aws.invoke(FunctionName="Hangs")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""

    charging, done = records(project, "Order")
    assert (charging["message"], charging["stream"]) == ("charging", "stdout")
    assert (done["message"], done["stream"]) == ("done", "stderr")
    assert charging["executionArn"] == done["executionArn"] == order["DurableExecutionArn"]
    assert charging["requestId"] != done["requestId"]
    assert charging["timestamp"] <= done["timestamp"]

    printed, own, logged, shell, unended = records(project, "Talks")
    assert printed["message"] == "printed"
    assert printed["functionName"] == "Talks"
    assert "executionArn" not in printed
    assert own == {"own": "record"}
    assert (logged["message"], logged["level"], logged["logger"]) == (
        "logged x",
        "WARNING",
        "talks",
    )
    assert (shell["message"], shell["stream"]) == ("from a shell", "raw")
    assert unended["message"] == "no end of line"
    assert len({each["requestId"] for each in (printed, logged, shell, unended)}) == 1

    # And what `faulthandler` says of the signal.
    assert [each["message"] for each in records(project, "Dies")].count("last words") == 2
    assert records(project, "Hangs")[0]["message"] == "hanging"

    said, failed, formatted = records(project, "Logs")
    assert said.pop("timestamp").endswith("Z")
    request_id = said.pop("requestId")
    assert said == {"level": "INFO", "message": "said", "logger": "logs", "order": 7}
    assert (failed["errorType"], failed["errorMessage"]) == ("KeyError", "7")
    assert "raise KeyError(event)" in failed["stackTrace"][0]
    assert failed["location"].startswith(f"{project}/handlers.py:logs:")
    # A formatter of the handler's own is what it wants; its text is wrapped.
    assert (formatted["message"], formatted["requestId"]) == ("mine: formatted", request_id)


def test_what_was_written_is_in_the_folder_when_it_has_ended(project: Path):
    """However slow that is: more than fits into a pipe, which is read only when it is to end."""
    (project / "logs").mkdir()
    fifo = project / "logs" / "Floods.jsonl"
    os.mkfifo(fifo)
    # For writing too: it is not at its end while nobody else writes.
    reading = os.open(fifo, os.O_RDWR)
    flood = "def handler(event, context):\n    print('\\n'.join('x' * 99 for _ in range(5000)))\n"
    (project / "flood.py").write_text(flood)
    with serving(project, "--function=Floods=flood:handler", "--logs=logs") as (process, _, url):
        invoked(client(url), "Floods")
        found = os.read(reading, 1)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        while found.count(b"\n") < 5000 and select.select([reading], [], [], 5)[0]:
            found += os.read(reading, 1 << 20)
        assert found.count(b"x" * 99) == 5000
        assert process.wait(10) == 0
    os.close(reading)


def test_a_file_that_cannot_grow_is_said_once_and_serving_goes_on(project: Path):
    full = 1024 * 1024
    (project / "logs").mkdir()
    (project / "logs" / "Talks.jsonl").write_text(" " * full)
    with serving(project, "--functions=functions.toml", "--logs=logs") as (process, _, url):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (full, full))
        aws = client(url)
        for _ in range(3):
            invoked(aws, "Talks")
        invoked(aws, "Logs")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == (
            "durable-runner: Lines are lost: logs/Talks.jsonl cannot be written to: "
            "File too large.\n"
        )
    assert len(records(project, "Logs")) == 3
