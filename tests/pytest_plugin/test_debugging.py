"""`breakpoint()` in a handler."""

from __future__ import annotations

import signal

import pytest
from processes import all_gone, children

from .terminal import Terminal

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

FLOWS = """\
import threading
from async_durable_execution import durable_execution, step

async def charge():
    return 1

@durable_execution
async def order(event):
    order = event["order"]
    if order:
        breakpoint()
    paid = await step(charge)
    return order + paid

@durable_execution
async def hangs(event):
    threading.Event().wait()
"""


def test_time_stands_still_while_somebody_types(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makeconftest(
        """
        import os, threading, flows
        from async_durable_execution_runner import DurableFunctionTestRunner

        def another_run_times_out():
            with DurableFunctionTestRunner(flows.hangs) as runner:
                try:
                    runner.run(timeout=3)
                except TimeoutError:
                    print("Time does not stand still for others.")

        def pytest_enter_pdb():
            if "test_order" in os.environ["PYTEST_CURRENT_TEST"]:
                threading.Thread(target=another_run_times_out).start()
        """
    )
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

        def test_quit():
            with DurableFunctionTestRunner(flows.order, isolation="inline") as runner:
                assert runner.run({"order": 5}).status.value == "STOPPED"

        def test_nothing():
            pass
        """
    )
    with Terminal(pytester.path, "-s") as terminal:
        terminal.until("'order' has stopped at flows.py:12 (execution ")
        for _ in ("worker", "inline"):
            terminal.until("-> paid =")
            terminal.until("(Pdb) ")
            terminal.until("Time does not stand still for others.")
            terminal.type("p order")
            terminal.until("\n5\n(Pdb) ")
            terminal.type("n")
            terminal.until("-> return order + paid\n(Pdb) ")
            terminal.type("c")
            terminal.until("PDB continue")
        terminal.until("(Pdb) ")
        terminal.type("q")
        assert terminal.ends() == 2
        assert "Quitting debugger" in terminal.shown
        assert "3 passed" in terminal.shown


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
            with DurableFunctionTestRunner(flows.order) as runner:
                runner.run({"order": 5}).get_deserialized_result()

        def test_nothing():
            pass
        """
    )
    with Terminal(pytester.path) as terminal:
        for _ in range(2):
            terminal.until("PDB: 'order' has stopped")
            # The other one waits for the end of this one.
            shown = terminal.until("(Pdb) ")
            terminal.type("p order")
            shown += terminal.until("6\n(Pdb) ")
            terminal.type("c")
            shown += terminal.until("PDB continue")
            assert "stopped" not in shown
        terminal.until("(Pdb) ")
        terminal.type("q")
        terminal.until("PDB quit")
        assert terminal.ends() == 2
    assert "This is captured." not in terminal.shown
    terminal.until("The debugger was quit: 'order' has stopped at flows.py:12")
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
