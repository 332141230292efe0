"""The pytest plugin: a runner, and a crash report, for the handler that a marker names.

    @pytest.mark.durable(handler=place_order, workers=2)
    def test_order(durable_runner):
        assert durable_runner.run({"order_id": "o-1"}).result == '"done"'

    @pytest.mark.durable(handler=place_order)
    @pytest.mark.explore_crashes({"order_id": "o-1"}, check=charged_once)
    def test_order_survives(crash_report):
        crash_report.assert_ok()

With `pytest --durable-mode=cloud` the fixture `durable_runner` is a runner for the deployed
function that has the handler's name, or the marker's `function_name`.

The plugin imports nothing of the runner before a test asks for it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Generator
from typing import Any

import pytest

from ..client import lent
from ..runner import suite
from . import deaths, debugging, exploring, lender, options, section, standing
from .fixtures import crash_report, durable_pool, durable_runner, make_durable_runner

__all__ = ["crash_report", "durable_pool", "durable_runner", "make_durable_runner"]


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    channel = getattr(config, "workerinput", {}).get(lender.KEY)
    if channel is not None:
        global _borrower
        _borrower = lender.Borrower(channel)
        lent.ask = _borrower.ask
    options.check(config)
    standing.use(config)
    suite.replays = config.getoption("--durable-replay")
    suite.listener = _Listener()
    suite.debugger = debugging.user(config)
    config.addinivalue_line(
        "markers",
        "durable(handler=..., faults=..., isolation=..., **options): what the fixture "
        "durable_runner runs, and the options of its DurableFunctionTestRunner.",
    )
    config.addinivalue_line(
        "markers",
        "explore_crashes(input, **options): the arguments of explore_crashes for the fixture "
        "crash_report.",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Lend the session's cluster to a worker of pytest-xdist."""
    stash = node.config.stash
    if _lender not in stash:
        stash[_lender] = lender.Lender(options.value(node.config, "workers"))
    stash[_lender].lend_to(node)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(report: Any) -> None:
    """Say in the report of a test in which a worker of pytest-xdist has died what it died of."""
    if cause := _cause_of_death(report.node):
        report.longrepr = f"{report.longrepr}\n{cause}"


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    terminal = node.config.pluginmanager.get_plugin("terminalreporter")
    if error and terminal is not None and (cause := _cause_of_death(node)):
        terminal.write_line(f"[{node.gateway.id}] {cause}")


def _cause_of_death(node: Any) -> str:
    return deaths.cause(node, node.config.stash[_lender].inline_in(node))


#: Seconds that threads of inline handlers may take to end when pytest has.
_PATIENCE = 3.0
_exit_status = pytest.StashKey[int]()
_lender = pytest.StashKey[lender.Lender]()
#: Where this process is a worker of pytest-xdist.
_borrower: lender.Borrower | None = None


def pytest_enter_pdb(pdb: Any) -> None:
    debugging.hold(pdb)


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    # That of an asynchronous test is on the cancellation from which asyncio made the interrupt.
    for note in getattr(excinfo.value.__context__, "__notes__", ()):
        excinfo.value.add_note(note)
    if _borrower is not None and (notes := getattr(excinfo.value, "__notes__", ())):
        _borrower.tell_of_interrupt(os.environ.get("PYTEST_CURRENT_TEST", ""), "\n".join(notes))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_exit_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End the process even if inline handlers have left threads that never end: a process waits
    for its threads, and pytest would have reported everything and hang."""
    if f"{__name__.partition('.')[0]}.worker.inline" in sys.modules:
        status = config.stash.get(_exit_status, 1)
        threading.Thread(target=_end_anyway, args=(status,), daemon=True).start()


def _end_anyway(status: int) -> None:
    # A pytest within another pytest ends earlier than the process, which then goes on.
    while not _interpreter_ends():
        time.sleep(_PATIENCE / 10)
    time.sleep(_PATIENCE)
    sys.stderr.write("\nHandlers that ran inline left threads behind; pytest ends without them:\n")
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if thread not in (threading.main_thread(), threading.current_thread()):
            stack = traceback.format_stack(frames[thread.ident or 0])[-4:]
            sys.stderr.write(f"{thread.name}\n{''.join(stack)}")
    sys.stderr.flush()
    os._exit(status)


class _Listener:
    """Keeps what the test that runs has found, and has what it ran explored."""

    def began(self, engine: Any, execution: Any) -> None:
        _findings.begin(engine, execution)

    def waits(self, engine: Any, waited_for: Any) -> None:
        _findings.wait(engine, waited_for)

    def left(self, waited_for: Any) -> None:
        _findings.left(waited_for)

    def failing(self, engine: Any) -> None:
        _findings.look(engine)

    def ran(self, engine: Any, start: Any) -> None:
        exploring.ran(engine, start)

    def shut_out(self, address: str, error: Exception) -> None:
        standing.shut_out(address, error)

    def saw(self, found: Any) -> None:
        _findings.add(found)


_findings = section.Findings()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _findings.clear()
    section.forget(item)
    exploring.forget(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Explore after a test that has passed."""
    # An asynchronous test's traceback begins here.
    __tracebackhide__ = True
    if not item.config.getoption("--durable-explore"):
        return (yield)
    exploring.begin(item)
    result = yield
    # What the test has found was right.
    _findings.clear()
    exploring.explore(item)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test what its executions did."""
    report = yield
    if report.failed and not standing.ends_session(item, call, report):
        section.add_to(report, item, call, _findings)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if _lender in config.stash:
        for worker, test, note in config.stash[_lender].interrupted:
            terminalreporter.write_sep("!", f"[{worker}] interrupted in {test}")
            terminalreporter.write_line(note)
    if config.getoption("--durable-explore") and not config.option.collectonly:
        terminalreporter.write_line(exploring.summary(terminalreporter))


def _interpreter_ends() -> bool:
    """Whether the main thread has nothing left to run but the wait for the others."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame is None or frame.f_code.co_name == "_shutdown"
