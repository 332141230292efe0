"""The command line as a person uses it: real processes, what they print, how they end."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from async_durable_execution import durable_execution, step

from async_durable_execution_runner import DurableFunctionTestRunner, InvocationStatus, RunnerError
from async_durable_execution_runner.cli.main import execute, main

pytestmark = pytest.mark.processes

Output = pytest.CaptureFixture[str]
COMMAND = [sys.executable, "-m", "async_durable_execution_runner.cli.main"]
TESTS = str(Path(__file__).parents[1])


async def where() -> int:
    return os.getppid()


async def die_once(marker: str) -> str:
    if not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(7)
    return "survived"


@durable_execution
async def parent_of_worker(event: dict) -> int:
    return await step(where, name="where")


@durable_execution
async def dies_once(event: dict) -> str:
    async def body() -> str:
        return await die_once(event["marker"])

    return await step(body, name="die once")


@contextmanager
def worker_host(address: str, token: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*COMMAND, "worker-host", "--connect", address, "--app-dir", TESTS, *options],
        env={**os.environ, "DURABLE_RUNNER_TOKEN": token},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_demonstration_shows_a_recovery():
    done = subprocess.run([*COMMAND, "demo"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "DIED: Runtime exited with error: signal: killed" in done.stdout
    assert "invocation 3" in done.stdout
    assert "1 charge: order-1001 49.90 EUR" in done.stdout
    assert done.stderr == ""


@pytest.fixture(scope="module")
def runner() -> Iterator[DurableFunctionTestRunner]:
    """One without worker hosts of its own."""
    with DurableFunctionTestRunner(
        handler=parent_of_worker, workers=0, listen="127.0.0.1:0"
    ) as runner:
        yield runner


def test_a_worker_host_started_by_hand_serves_the_runs(
    runner: DurableFunctionTestRunner, tmp_path: Path
):
    options = ("--slots", "2", "--label", "zone=a")
    with worker_host(runner.address, runner.token, *options) as host:
        results = runner.run_many([{}] * 20, timeout=30)
        assert [each.slots for each in runner.status().hosts] == [2]
        assert {result.status for result in results} == {InvocationStatus.SUCCEEDED}
        # Its workers are children of its forkserver, which is its child.
        (forkserver,) = {int(result.result) for result in results}
        with open(f"/proc/{forkserver}/stat") as stat:
            assert int(stat.read().rpartition(")")[2].split()[1]) == host.pid
        # Handlers can read their parents' environments, also what was removed from them.
        with open(f"/proc/{forkserver}/environ") as environment:
            assert runner.token not in environment.read()
        runner.register_durable_function("dies", dies_once)
        marker = str(tmp_path / "marker")
        again = runner.run(input={"marker": marker}, function_name="dies", timeout=30)
        assert again.result == '"survived"'
        assert "exit status 7" in again.invocations[0].error.message


def test_without_a_worker_host_the_time_out_says_what_is_missing(
    runner: DurableFunctionTestRunner,
):
    # That of another test may have been killed just now.
    while runner.status().hosts:
        pass
    with pytest.raises(TimeoutError, match="durable-runner worker-host --connect"):
        runner.run(input={}, timeout=0.2)


@pytest.mark.parametrize(
    ("token", "code", "said"),
    [("wrong", 2, "token is missing or wrong"), ("", 2, "DURABLE_RUNNER_TOKEN is not set")],
)
def test_a_worker_host_that_is_refused_says_why(
    runner: DurableFunctionTestRunner, token: str, code: int, said: str
):
    with worker_host(runner.address, token) as host:
        assert host.wait(20) == code
        message = host.stderr.read()
    assert said in message
    assert message.count("\n") == 1


def test_a_worker_host_says_whom_it_waits_for():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with worker_host(address, "token") as host:
            line = f"Nothing answers at {address}; trying for 30 seconds.\n"
            assert host.stderr.readline() == line


@pytest.mark.parametrize("address", ["192.0.2.1:4711", "example.com:4711"])
def test_a_token_is_not_sent_in_the_clear_to_another_machine(address: str):
    with worker_host(address, "secret") as host:
        assert host.wait(20) == 2
        assert "is not on this machine, and without TLS" in host.stderr.read()


def test_the_coordinator_listens_on_this_machine_only():
    with pytest.raises(Exception, match="not a loopback address"):
        DurableFunctionTestRunner(
            handler=parent_of_worker, workers=0, listen="0.0.0.0:0"
        ).__enter__()


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "demo" in capsys.readouterr().err


FLOWS = """
import os
from async_durable_execution import durable_execution, step

async def where():
    return os.getpid()

@durable_execution
async def flow(event):
    first = await step(where, name="first")
    second = await step(where, name="second")
    return first == second if event == "same?" else event

@durable_execution
async def fails(event):
    for number in range(20):
        print(f"line {number}")
    raise ValueError(event)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cli_flows.py").write_text(FLOWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cli_flows", raising=False)
    return tmp_path


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


def test_a_run_with_faults_from_the_line_and_from_a_file(here: Path, capsys: Output):
    (here / "plan.txt").write_text(
        "# the second step\nkill@before-commit:2  # its body is done\n\n"
    )
    faults = ["--fault=exit=3@after-commit:1", "--faults=plan.txt"]
    assert main(["run", "cli_flows:flow", "--input=7", "--workers=1", *faults]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "flow · SUCCEEDED" in out
    assert "exit=3@after-commit:1" in out
    assert "kill@before-commit:2" in out


def test_a_run_can_be_heard(here: Path):
    done = command("run", "cli_flows:flow", "--input=7", "--workers=1", "--verbose")
    assert done.returncode == 0
    assert ">> Started: 'flow' with 1 byte of input" in done.stderr
    assert "<< Finish: SUCCEEDED" in done.stderr


def test_a_run_with_a_log_that_there_is_not_says_so(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DURABLE_RUNNER_LOG", "loud")
    done = command("run", "cli_flows:flow", "--input=7", "--workers=1")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "durable-runner: DURABLE_RUNNER_LOG must be debug or info, or not set; it is 'loud'.\n",
    )


def test_a_worker_host_can_be_heard():
    with (
        DurableFunctionTestRunner(parent_of_worker, workers=0, listen="127.0.0.1:0") as runner,
        worker_host(runner.address, runner.token, "--slots=1", "--verbose") as host,
    ):
        assert int(runner.run({}).result)
        host.terminate()
        said = host.communicate(timeout=30)[1]
        assert f": connected to {runner.address}" in said
    assert "was forked (pid " in said


def test_a_fault_that_never_fired_is_told_without_advice_for_tests(here: Path, capsys: Output):
    assert main(["run", "cli_flows:flow", "--fault=kill@after-commit:9", "--workers=1"]) == 1
    first_line = capsys.readouterr().err.splitlines()[0]
    assert "Planned, but never fired: kill@after-commit:9." in first_line
    assert first_line.endswith(").")


def test_a_run_that_does_not_succeed_is_an_exit_code(here: Path, capsys: Output):
    assert main(["run", "cli_flows:fails", '--input="no"', "--workers=1"]) == 1
    assert "ValueError: no" in capsys.readouterr().out


def test_what_a_handler_writes_is_printed_once_and_wholly(here: Path, capsys: Output):
    assert main(["run", "cli_flows:fails", '--input="no"', "--workers=1"]) == 1
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if "| line " in line] == [
        f"     | line {number}" for number in range(20)
    ]
    assert "line 1" not in err


def test_a_run_that_is_replayed_at_every_checkpoint(here: Path, capsys: Output):
    options = ['--input="same?"', "--workers=1", "--replay-every-checkpoint"]
    main(["run", "cli_flows:flow", *options])
    assert "result       false" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "cli_flows:nothing"], "There is no cli_flows:nothing"),
        (["run", "cli_flows:flwo"], "has no attribute 'flwo': did you mean 'flow'?\n"),
        (["run", "cli_flows.py:flow"], "a module is named, not its file, as in cli_flows:flow."),
        (["run", "./sub/flows.py:flow"], "as in sub.flows:flow."),
        (["run", "no_such_module:flow"], "No module named 'no_such_module'"),
        (["run", "cli_flows:where"], "where"),
        (["run", "cli_flows:flow", "--fault=kill@after-commit:9"], "never fired"),
    ],
)
def test_what_cannot_be_run_is_one_clear_line(
    here: Path, capsys: Output, arguments: list[str], complaint: str
):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert complaint in error
    assert error.startswith("durable-runner: ")
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("name", "code", "complaint"),
    [
        (
            "raises_here",
            "1 / 0",
            "ZeroDivisionError: division by zero (FOLDER/raises_here.py, line 2)",
        ),
        ("exits_here", "raise SystemExit(3)", "SystemExit: 3 (FOLDER/exits_here.py, line 2)"),
        ("no_python", "def (", "SyntaxError: invalid syntax (no_python.py, line 2)"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "explore"])
def test_a_module_that_cannot_be_imported_is_named_with_the_line(
    here: Path, capsys: Output, verb: str, name: str, code: str, complaint: str
):
    (here / f"{name}.py").write_text(f"# broken\n{code}\n")
    assert main([verb, f"{name}:flow"]) == 1
    assert capsys.readouterr().err == (
        f"durable-runner: {name}:flow cannot be imported: "
        f"{complaint.replace('FOLDER', str(here))}.\n"
    )


FLOW = "cli_flows:flow"


@pytest.mark.parametrize("verb", ["run", "explore"])
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: MODULE:HANDLER"),
        (["cli_flows"], "a handler is needed, as in MODULE:HANDLER, not 'cli_flows'"),
        (["cli_flows:"], "a handler is needed"),
        ([":flow"], "a handler is needed"),
        (["--inptu", "x", FLOW], "there is no option --inptu: did you mean --input?"),
        ([FLOW, "--xyzzy=1"], "there is no option --xyzzy\n"),
        ([FLOW, "--input={"], "--input: this is not JSON: Expecting property name"),
        ([FLOW, "--input=NaN"], "--input: this is not JSON: NaN is not a JSON value"),
        ([FLOW, "--input=" + "[" * 100_000], "--input: this is not JSON"),
        ([FLOW, '--input="\udcff"'], "is not UTF-8"),
        ([FLOW, "--workers=0"], "--workers: a whole number from 1 to 9999 is needed, not '0'"),
        ([FLOW, "--workers=-1"], "--workers: a whole number from 1 to 9999 is needed, not '-1'"),
        ([FLOW, "--workers=all"], "--workers: a whole number from 1 to 9999 is needed, not 'all'"),
        ([FLOW, "--timeout=0"], "--timeout: a number of seconds is needed"),
        ([FLOW, "--timeout=-1"], "--timeout: a number of seconds is needed"),
        ([FLOW, "--timeout=nan"], "--timeout: a number of seconds is needed"),
        ([FLOW, "--timeout=inf"], "--timeout: a number of seconds is needed"),
        ([FLOW, "--timeout=soon"], "--timeout: a number of seconds is needed"),
    ],
)
def test_a_wrong_argument_of_a_handler_s_run_is_named(
    here: Path, capsys: Output, verb: str, arguments: list[str], complaint: str
):
    assert complaint in usage_error(capsys, verb, *arguments)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: command"),
        (["go"], "invalid choice: 'go'"),
        (["run", FLOW, "--fault=kill@nowhere"], "--fault: Unknown place 'nowhere'"),
        (["run", FLOW, "--fault="], "--fault: Fault '' has no place"),
        (["run", FLOW, "--faults=missing.txt"], "--faults: the fault plan cannot be read: "),
        (["run", FLOW, "--faults=."], "--faults: the fault plan cannot be read: "),
        (["run", FLOW, "--faults=no_text"], "--faults: the fault plan cannot be read: "),
        (["run", FLOW, "--faults=cli_flows.py"], "--faults: Fault "),
        (["explore", FLOW, "--depth=0"], "--depth: a whole number from 1 to 9999 is needed"),
        (["explore", FLOW, "--callback=a"], "--callback: a name and a value are needed"),
        (["explore", FLOW, "--callback==a"], "--callback: a name and a value are needed"),
        (["worker-host"], "the following arguments are required: --connect"),
        (["worker-host", "--connect=here"], "--connect: an address is needed, as in 127.0.0.1"),
        (["worker-host", "--connect=:1"], "--connect: an address is needed"),
        (["worker-host", "--connect=a:0"], "--connect: an address is needed"),
        (["worker-host", "--connect=a:99999"], "--connect: a port is needed"),
        (["worker-host", "--connect=a:1", "--slots=0"], "--slots: a whole number from 1"),
        (["worker-host", "--connect=a:1", "--label=b"], "--label: a name and a value are needed"),
        (["serve", "--port=-1"], "--port: a port is needed, from 0 (any) to 65535, not '-1'"),
        (["serve", "--port=65536"], "--port: a port is needed"),
        (["serve", "--port=http"], "--port: a port is needed"),
        (["serve", "--workers=0"], "--workers: a whole number from 1"),
        (["diff", "one.json"], "the following arguments are required: CLOUD"),
        (["diff", "a", "b", "--endpoint=here"], "--endpoint: a URL is needed"),
    ],
)
def test_a_command_that_is_called_wrongly_says_how_it_is_called(
    here: Path, capsys: Output, arguments: list[str], complaint: str
):
    (here / "no_text").write_bytes(b"\xff\xfe\x00")
    assert complaint in usage_error(capsys, *arguments)


def usage_error(output: Output, *arguments: str) -> str:
    """The one line after the usage."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    usage, _, complaint = output.readouterr().err.partition(" error: ")
    assert usage.startswith("usage: durable-runner ")
    assert complaint.count("\n") == 1
    return complaint


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        (["missing.json"], "missing.json cannot be read: [Errno 2] No such file or directory"),
        (["."], ". cannot be read: [Errno 21] Is a directory"),
        (["no_text"], "no_text cannot be read: 'utf-8' codec can't decode"),
        (["cli_flows.py"], "cli_flows.py cannot be read: Expecting value"),
        (
            ["other.json"],
            "other.json is not what `aws lambda get-durable-execution-history` prints",
        ),
        (["arn:aws:x"], "arn:aws:x is not the ARN of an execution"),
    ],
)
def test_what_is_no_history_cannot_be_compared(
    here: Path, capsys: Output, sources: list[str], complaint: str
):
    (here / "no_text").write_bytes(b"\xff\xfe\x00")
    (here / "other.json").write_text('{"Events": [{"EventType": 1}]}')
    assert main(["diff", *sources * 2]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"durable-runner diff: {complaint}")
    assert error.count("\n") == 1


def test_nobody_need_read_all_that_is_said():
    with subprocess.Popen(
        [*COMMAND, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("command", ["run", "explore"])
def test_a_disk_without_room_for_what_is_said_is_one_sentence(here: Path, command: str):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, command, "cli_flows:flow", "--input=7", "--workers=1"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "durable-runner: Standard output cannot be written to: No space left on device.\n"
    )


def test_an_exploration_ends_with_its_verdict(here: Path, capsys: Output):
    assert main(["explore", "cli_flows:flow", "--input=7", "--workers=2"]) == 0
    good = capsys.readouterr().out
    assert "flow · 6 crash points explored: 6 passed, 0 failed" in good
    assert main(["explore", "cli_flows:fails", '--input="no"', "--workers=2"]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "the clean run ended FAILED: ValueError: no",
        "if that is how it should end, say so with check=",
    ]
    bad = ["explore", "cli_flows:flow", '--input="same?"', "--workers=2", "--depth=2"]
    assert main(bad) == 1
    assert "its result is false, the clean run's true" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [RunnerError, TimeoutError, KeyboardInterrupt])
def test_what_a_terminal_would_obey_is_escaped_in_an_error(
    kind: type[BaseException], capsys: Output
):
    """Its text may be a handler's."""
    parser = argparse.ArgumentParser(prog="durable-runner")

    def fail(_: argparse.Namespace) -> int:
        error = kind("\x1b]0;owned\x07 \u061c")
        error.add_note(str(error))
        raise error

    parser.set_defaults(run=fail)
    execute(parser, [])
    assert capsys.readouterr().err == "durable-runner: \\x1b]0;owned\\x07 \\u061c\n"
