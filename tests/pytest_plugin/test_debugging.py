"""`breakpoint()` in a handler."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import coverage
import pytest
from processes import Watched, all_gone, children

from async_durable_execution_runner.worker import debugging

from .adapter import Client
from .terminal import Terminal

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

#: The line at which pdb stops, after the call of breakpoint() or from Python 3.13 on at it.
STOPPED = 13 if sys.version_info >= (3, 13) else 14

FLOWS = """\
import threading
from datetime import timedelta
from async_durable_execution import durable_execution, step, wait

async def charge():
    return 1

@durable_execution
async def order(event):
    order = event["order"]
    if not order:
        return order
    breakpoint()
    paid = await step(charge)
    return order + paid

@durable_execution
async def sleeps(event):
    if event:
        breakpoint()
    await wait(timedelta(days=1))
    return 7

@durable_execution
async def hangs(event):
    threading.Event().wait()
"""

#: Another run passes the same time-out while somebody debugs.
OTHERS = """
    import os, threading, flows
    from async_durable_execution_runner import DurableFunctionTestRunner

    def another_run_times_out():
        with DurableFunctionTestRunner(flows.hangs) as runner:
            try:
                runner.run(timeout=3)
            except TimeoutError:
                with open("late", "w") as late:
                    late.write("too late")

    def pytest_enter_pdb():
        if "test_order" in os.environ["PYTEST_CURRENT_TEST"]:
            threading.Thread(target=another_run_times_out).start()
"""


def test_time_stands_still_while_somebody_types(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makeconftest(OTHERS)
    os.mkfifo(pytester.path / "late")
    pytester.makepyfile(
        """
        import flows, pytest, time
        from async_durable_execution_runner import DurableFunctionTestRunner

        @pytest.mark.parametrize("isolation", ["worker", "inline"])
        def test_order(isolation):
            with DurableFunctionTestRunner(
                flows.order, isolation=isolation, workers=1, invocation_timeout=3
            ) as runner:
                runner.run({"order": 0})
                began = time.monotonic()
                result = runner.run({"order": 5}, timeout=3)
                assert time.monotonic() - began > 3
                assert result.get_deserialized_result() == 6
                assert len(result.invocations) == 1
                assert result.duration.total_seconds() < 3
        """
    )
    with Terminal(pytester.path, "-s", "--cov=flows", "--cov-context=test") as terminal:
        terminal.until(f"'order' has stopped at flows.py:{STOPPED} (execution ")
        for _ in ("worker", "inline"):
            terminal.until("(Pdb) ")
            assert (pytester.path / "late").read_text() == "too late"
            terminal.type("p order")
            terminal.until("\n5\n(Pdb) ")
            # Which the handler's remaining time does not lack.
            terminal.type(f"p __import__('{debugging.__name__}', fromlist='*').stood_still() > 1")
            terminal.until("\nTrue\n(Pdb) ")
            for _ in range(STOPPED, 15):
                terminal.type("n")
                terminal.until("(Pdb) ")
            assert terminal.shown.endswith("-> return order + paid\n(Pdb) ")
            terminal.type("c")
            terminal.until("PDB continue")
        assert terminal.ends() == 0
        assert "2 passed" in terminal.shown
    data = coverage.CoverageData(str(pytester.path / ".coverage"))
    data.read()
    (flows,) = (file for file in data.measured_files() if file.endswith("flows.py"))
    ran_in = data.contexts_by_lineno(flows)
    # Before, while and after somebody stepped through it.
    for line in (6, 10, 13, 14, 15):
        assert f"{pytester.path.name[:-1]}.py::test_order[worker]|run" in ran_in[line]


def test_who_quits_ends_the_session(pytester: pytest.Pytester) -> None:
    """It works without -s too, and two handlers that stop take turns."""
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import flows
        from async_durable_execution_runner import DurableFunctionTestRunner

        def test_two(capsys):
            print("This", "is captured.")
            with DurableFunctionTestRunner(flows.order, isolation="invocation") as runner:
                both = runner.run_many([{"order": 6}, {"order": 6}])
                assert [each.get_deserialized_result() for each in both] == [7, 7]

        def test_order():
            print("So", "is this.")
            with DurableFunctionTestRunner(flows.order, isolation="inline") as runner:
                assert runner.run({"order": 5}).status.value == "STOPPED"
            with DurableFunctionTestRunner(flows.order) as runner:
                runner.run({"order": 5}).get_deserialized_result()

        def test_nothing():
            pass
        """
    )
    with Terminal(pytester.path) as terminal:
        for typed, answer in (("until 15", "return order + paid"), ("p order", "6")):
            terminal.until("PDB: 'order' has stopped")
            # The other one waits for the end of this one.
            shown = terminal.until("(Pdb) ")
            terminal.type(typed)
            shown += terminal.until(f"{answer}\n(Pdb) ")
            terminal.type("c")
            shown += terminal.until("PDB continue")
            assert "stopped" not in shown
        for _ in ("inline", "worker"):
            terminal.until("(Pdb) ")
            terminal.type("q")
            terminal.until("PDB quit")
        assert terminal.ends() == 2
    assert "This is captured." not in terminal.shown
    terminal.until(f"The debugger was quit: 'order' has stopped at flows.py:{STOPPED}")
    # It is captured again, and so only part of the report.
    terminal.until("Captured stdout call")
    terminal.until("So is this.")
    terminal.until("Quitting debugger")
    terminal.until("1 failed, 1 passed")


def test_nothing_hangs_when_somebody_dies_meanwhile(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import flows
        from async_durable_execution_runner import DurableFunctionTestRunner

        def test_order():
            with DurableFunctionTestRunner(flows.order) as runner:
                runner.run({"order": 5})
        """
    )
    with Terminal(pytester.path) as terminal:
        terminal.until("(Pdb) ")
        # The handler's process: its next one stops again.
        terminal.type("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        terminal.until("PDB continue")
        terminal.until("(Pdb) ")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ends() == 2
        terminal.until("KeyboardInterrupt")
    with Terminal(pytester.path) as terminal:
        terminal.until("(Pdb) ")
        ours = children(terminal.process.pid)
        ours += [below for each in ours for below in children(each.pid)]
        ours += [below for each in ours for below in children(each.pid)]
        assert len(ours) > 4
        terminal.process.kill()
        assert all_gone(ours, 5)


def test_a_debugger_connects_to_the_port(pytester: pytest.Pytester) -> None:
    """To one process after the other, for as long as it takes."""
    pytester.makepyfile(flows=FLOWS)
    pytester.makeconftest(OTHERS)
    os.mkfifo(pytester.path / "late")
    pytester.makepyfile(
        """
        import flows
        from async_durable_execution_runner import DurableFunctionTestRunner

        def test_order():
            with DurableFunctionTestRunner(flows.sleeps, workers=1, invocation_timeout=3) as runner:
                runner.run()
                result = runner.run("stop", timeout=3)
                assert result.get_deserialized_result() == 7
                assert len(result.invocations) == 2
        """
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # As the document has it for VS Code.
    document = Path(__file__).parents[2] / "docs" / "pytest.md"
    (found,) = re.findall(r"^```json\n(.+?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    (launch,) = json.loads(found)["configurations"]
    launch["connect"]["port"] = port

    with Terminal(pytester.path, f"--durable-debug={port}") as terminal:
        for _ in range(2):
            terminal.until("'sleeps' has stopped at flows.py:20 (execution ")
            terminal.until(f"). Attach a debugger to 127.0.0.1:{port}.")
            assert (pytester.path / "late").read_text() == "too late"
            adapters = _adapters(port)
            assert adapters
            with Client(port) as client:
                thread = client.attach(launch)
                frame = client.ask("stackTrace", threadId=thread)["stackFrames"][0]
                assert (frame["name"], frame["line"]) == ("sleeps", 21)
                shown = client.ask("evaluate", expression="event", frameId=frame["id"])
                assert shown["result"] == "'stop'"
                client.let_go("continue", threadId=thread)
                assert all_gone(adapters, 10)
        assert terminal.ends() == 0


def _adapters(port: int) -> list[Watched]:
    """The processes that a debugger is to connect to at this port."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if b"--for-server" in command and str(port).encode() in command:
                found.append(Watched(int(folder.name)))
    return found


def test_workers_of_xdist_wait_for_a_debugger(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import flows, pytest
        from async_durable_execution_runner import DurableFunctionTestRunner

        @pytest.mark.parametrize("isolation", ["worker", "execution"])
        def test_order(isolation):
            with DurableFunctionTestRunner(flows.order, isolation=isolation) as runner:
                assert runner.run({"order": 5}).get_deserialized_result() == 6
        """
    )
    with Terminal(pytester.path, "-n2") as terminal:
        ports = []
        for _ in range(2):
            terminal.until("'order' has stopped at flows.py:13")
            terminal.until("Attach a debugger to 127.0.0.1:")
            ports.append(int(terminal.until(".").removesuffix(".")))
        for port in ports:
            with Client(port) as client:
                thread = client.attach({"justMyCode": True})
                client.ask("next", threadId=thread)
                client.event("stopped")
                client.let_go("disconnect")
        assert terminal.ends() == 0
        assert "2 passed" in terminal.shown
