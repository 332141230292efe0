"""What the coordinator and the worker hosts say of their work, and that it harms nobody."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from async_durable_execution_runner import InvalidConfiguration, log

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3}Z [a-z0-9]")


def formatted(message: str, *given: object, level: int = logging.INFO) -> str:
    return log.LineFormatter().format(
        logging.LogRecord("name", level, __file__, 1, message, given, None)
    )


# -- lines ---------------------------------------------------------------------------------


def test_a_line_has_the_time_to_the_millisecond_and_the_message():
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}Z worker 1: idle", formatted("worker %d: idle", 1))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("two\nlines", r"two\nlines"),
        ("\r\x1b[2J\x07", r"\r\x1b[2J\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\u2028\u202e", r"\u2028\u202e"),
        ("\ud800", r"\ud800"),
        ("Größe 猫 ✓", "Größe 猫 ✓"),
    ],
)
def test_a_name_cannot_break_a_line_nor_steer_a_terminal(name: str, written: str):
    assert formatted("step %s", name).endswith(f"Z step {written}")


def test_a_long_line_is_cut():
    line = formatted("%s", "x" * 5_000_000)
    assert len(line) < 1000
    assert line.endswith("x… (4999200 more characters)")


def test_an_error_says_that_it_is_one_and_has_its_traceback():
    try:
        raise ValueError("one\x1b")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "", 1, "GET failed", (), sys.exc_info())
    first, *others = log.LineFormatter().format(record).split("\n")
    assert first.endswith("Z ERROR: GET failed")
    assert others[0] == "Traceback (most recent call last):"
    assert others[-1] == r"ValueError: one\x1b"


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0 s"),
        (1500, "1.5 s"),
        (60_000, "1 min"),
        (5_400_000, "1.5 h"),
        (172_800_000, "2 d"),
    ],
)
def test_a_length_of_time(ms: float, words: str):
    assert log.span(ms) == words


# -- what is chosen ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "level"), [("debug", "debug"), (" INFO ", "info"), ("", ""), (None, "")]
)
def test_the_variable_is_taken_out_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, given: str | None, level: str
):
    monkeypatch.delenv(log.VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(log.VARIABLE, given)
    assert log.take() == level
    assert log.VARIABLE not in os.environ


def test_a_level_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(log.VARIABLE, "loud")
    with pytest.raises(InvalidConfiguration) as refused:
        log.take()
    assert (
        str(refused.value) == "DURABLE_RUNNER_LOG must be debug or info, or not set; it is 'loud'."
    )


def test_where_nobody_listens_there_is_nothing_to_call(caplog: pytest.LogCaptureFixture):
    name = "async_durable_execution_runner.coordinator.nobody"
    assert (log.info(name), log.debug(name)) == (None, None)
    caplog.set_level("INFO", name)
    assert log.debug(name) is None
    say = log.info(name)
    assert say is not None
    say("worker %s", 1)
    assert caplog.messages == ["worker 1"]


# -- writing -------------------------------------------------------------------------------


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    yield (ends := os.pipe())
    for end in ends:
        os.close(end)


def test_who_logs_does_not_wait_for_a_pipe_that_is_full(pipe: tuple[int, int]):
    reading, writing = pipe
    lines = log._MOST_LINES * 2
    writer = log.LineWriter(writing)
    writer.setFormatter(logging.Formatter("%(message)s"))

    def record(message: str) -> None:
        writer.handle(logging.LogRecord("n", logging.INFO, "", 1, message, (), None))

    for number in range(lines):
        record(f"{number:06} {'x' * 60}")
    kept = []
    with open(reading, closefd=False) as reader:
        while "left out" not in (line := reader.readline()):
            kept.append(line)
        # From here on there is room again.
        record("the last")
        assert reader.readline() == "the last\n"
    assert [int(line[:6]) for line in kept] == list(range(len(kept)))
    assert line == f"… {lines - len(kept)} lines are left out: they were not read in time.\n"
    assert len(kept) >= log._MOST_LINES


def test_a_reader_who_went_away_is_not_minded():
    reading, writing = os.pipe()
    os.close(reading)
    writer = log.LineWriter(writing)
    for _ in range(2):
        writer.handle(logging.LogRecord("n", logging.INFO, "", 1, "gone", (), None))
        writer.flush()
        assert (writer._lines, writer._writing) == ([], False)
    os.close(writing)


def test_pieces_are_small_enough_to_stay_whole_in_a_pipe():
    lines = ["ä" * 500 + "\n"] * 100
    pieces = list(log._pieces(lines))
    assert b"".join(pieces).decode() == "".join(lines)
    assert all(len(piece) <= 4096 for piece in pieces)


# -- processes -----------------------------------------------------------------------------

HANDLERS = """
import logging, os
from datetime import timedelta
from async_durable_execution import create_callback, durable_execution, step, wait

async def charge():
    print("printed by the handler")
    return "s3cret"

async def fail():
    raise ValueError("s3cret")

@durable_execution
async def order(event):
    await step(charge, name="charge")
    await wait(timedelta(days=2), name="cooling-off")
    return "s3cret"

@durable_execution
async def asks(event):
    callback = await create_callback(name="approval")
    return await callback.result()

@durable_execution
async def looks(event):
    ours = logging.getLogger("async_durable_execution_runner")
    return ["DURABLE_RUNNER_LOG" in os.environ, ours.handlers, ours.level]
"""

PROGRAM = """
import handlers
from async_durable_execution_runner import DurableFunctionTestRunner

with DurableFunctionTestRunner(handler=handlers.{handler}, workers=1) as runner:
    {body}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


def run(folder: Path, handler: str, body: str, level: str | None) -> tuple[str, str]:
    """What such a program writes on standard output and on standard error."""
    environment = {key: value for key, value in os.environ.items() if key != log.VARIABLE}
    if level is not None:
        environment[log.VARIABLE] = level
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(handler=handler, body=body)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, done.stderr


def in_order(story: str, *lines: str) -> None:
    """Each of `lines` is a part of a line of `story`, in this order."""
    rest = iter(story.splitlines())
    for line in lines:
        assert any(line in each for each in rest), f"{line!r} is not there, or too late:\n{story}"


@pytest.mark.processes
def test_a_step_and_a_wait(folder: Path):
    body = "print(runner.run({'key': 's3cret'}).execution_arn.rsplit('/', 1)[1])"
    said, story = run(folder, "order", body, "debug")
    name = said.split()[-1][:8]
    in_order(
        story,
        f"{name} >> Started: 'order' with 17 bytes of input, arn:aws:lambda:",
        f"{name} << Invoke: as soon as a worker is free",
        f" of {name}: leased to worker ",
        f"{name} >> InvocationStarted: invocation ",
        f"{name} << Deliver: 1 operation to worker ",
        f"{name} >> Checkpoint: STEP START 'charge', STEP SUCCEED ",
        f"{name} << Reply: 1 operation",
        f"{name} >> Checkpoint: WAIT START 'cooling-off' (2 d)",
        f" of {name}: returned by worker ",
        ": idle",
        f"{name} >> InvocationReturned: PENDING",
        f"{name} .. waits for wait 'cooling-off' until ",
        f"{name} .. time skips 2 d, to when wait 'cooling-off' is due",
        f"{name} >> TimePassed: it is ",
        f"{name} << Invoke",
        f"{name} >> InvocationReturned: SUCCEEDED (8 bytes)",
        f"{name} << Finish: SUCCEEDED (8 bytes)",
    )
    for line in ("joined with ", ": connected to unix:", ": starting on host ", "was forked (pid "):
        assert line in story
    assert all(map(LINE.match, story.splitlines())), story
    for secret in ("s3cret", "\x1b", "printed by the handler"):
        assert secret not in story


@pytest.mark.processes
def test_a_callback_that_nobody_answers(folder: Path):
    body = """
    execution = runner.start({})
    execution.wait_for_callback("approval")
    try:
        execution.result(timeout=0.1)
    except TimeoutError as error:
        print(error)
    """
    _, story = run(folder, "asks", body.strip(), "debug")
    in_order(
        story,
        ">> Checkpoint: CALLBACK START 'approval'",
        ".. waits for callback 'approval', unanswered (callback id ",
        ".. its execution time-out is due in 366 d of real time; time is not skipped while a",
    )


@pytest.mark.processes
def test_a_worker_that_is_killed_by_a_fault(folder: Path):
    body = "assert runner.run({}, faults='kill@after-commit:1').result"
    _, story = run(folder, "order", body, "debug")
    in_order(
        story,
        ".. fault kill@after-commit:1 strikes worker ",
        ": to be killed, a fault was planned",
        "), signal: killed; it had invocation ",
        ">> InvocationFailed: invocation ",
        ".. waits for its invocation retry, due at ",
        ".. time skips ",
        "<< Finish: SUCCEEDED",
    )
    assert "ended by signal 9" in story


@pytest.mark.processes
def test_less_is_said_where_less_is_wanted(folder: Path):
    _, story = run(folder, "order", "runner.run_many([{}] * 3)", "info")
    in_order(
        story,
        ": queued behind 1, waits for ",
        ": leased to worker ",
        ": queued behind 1, waits for a free worker: 1 of this runner's 1 are busy",
    )
    assert not re.search(">>|<<", story)


@pytest.mark.processes
@pytest.mark.parametrize("level", [None, ""])
def test_silence(folder: Path, level: str | None):
    said, story = run(folder, "asks", "runner.run_until_suspended({})", level)
    assert (said, story) == ("", "")


@pytest.mark.processes
@pytest.mark.parametrize("level", [None, "debug"])
def test_handlers_do_not_notice(folder: Path, level: str | None):
    said, _ = run(folder, "looks", "print(runner.run({}).result)", level)
    assert said == "[false, [], 0]\n"


@pytest.mark.processes
def test_what_handlers_write_is_not_mixed_with_it(folder: Path):
    body = "print(runner.run({}).invocations[0].stdout)"
    said, _ = run(folder, "order", body, "debug")
    assert said == "printed by the handler\n" * 2 + "\n"


@pytest.mark.processes
def test_a_coordinator_that_fails_says_where_its_words_are(folder: Path):
    body = """
    import os, signal
    os.kill(runner.status().pid, signal.SIGKILL)
    try:
        runner.run({})
    except Exception as error:
        print(error)
    """
    said, _ = run(folder, "order", body.strip(), "info")
    assert "was ended by SIGKILL (what it wrote is on standard error)" in said


@pytest.mark.processes
def test_a_pipe_that_nobody_reads_holds_nothing_up(folder: Path):
    program = PROGRAM.format(handler="order", body="print(len(runner.run_many([{}] * 60)))")
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, log.VARIABLE: "debug"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "printed by the handler\n" * 60 + "60\n"
        assert process.wait(30) == 0
        assert process.stderr is not None
        # What there was room for.
        assert len(process.stderr.read()) > 30_000


TEST = """
import handlers
from async_durable_execution_runner import DurableFunctionTestRunner

def test_first(capsys):
    with DurableFunctionTestRunner(handler=handlers.order, workers=1) as runner:
        assert runner.run({}).result
    assert capsys.readouterr().err == ""

def test_second():
    with DurableFunctionTestRunner(handler=handlers.asks, workers=1) as runner:
        runner.run_until_suspended({})
    raise AssertionError
"""


@pytest.mark.processes
def test_pytest_shows_it_with_the_test_that_fails(folder: Path):
    (folder / "test_orders.py").write_text(TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_orders.py"],
        cwd=folder,
        env={**os.environ, log.VARIABLE: "debug"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout
    shown = done.stdout.partition("Captured stderr call")[2]
    assert ".. waits for callback 'approval', unanswered" in shown
    assert "cooling-off" not in shown
