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

import inspect
import os
import sys
import threading
import time
import traceback
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ..client import lent
from . import lender

if TYPE_CHECKING:
    from ..runner.blocking import DurableFunctionTestRunner
    from ..runner.cloud import DurableFunctionCloudTestRunner
    from ..runner.explore import CrashReport


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("durable functions")
    group.addoption(
        "--durable-mode",
        choices=("local", "cloud"),
        default="local",
        help="Where durable_runner runs handlers: in worker processes, or where they are deployed.",
    )
    group.addoption(
        "--durable-workers",
        type=int,
        metavar="N",
        help="The most worker processes of a session of pytest-xdist: one for each processor, or "
        "more where a test asks for more.",
    )
    group.addoption("--durable-endpoint", metavar="URL", help="Where Lambda is, in cloud mode.")
    group.addoption(
        "--durable-region", metavar="REGION", help="Where the functions are, in cloud mode."
    )


def pytest_configure(config: pytest.Config) -> None:
    channel = getattr(config, "workerinput", {}).get(lender.KEY)
    if channel is not None:
        lent.ask = lender.Borrower(channel).ask
    config.addinivalue_line(
        "markers",
        "durable(handler=..., **options): what the fixture durable_runner runs, and the options of "
        "its DurableFunctionTestRunner.",
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
        stash[_lender] = lender.Lender(node.config.getoption("--durable-workers"))
    stash[_lender].lend_to(node)


#: Seconds that threads of inline handlers may take to end when pytest has.
_PATIENCE = 3.0
_exit_status = pytest.StashKey[int]()
_lender = pytest.StashKey[lender.Lender]()


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    # That of an asynchronous test is on the cancellation from which asyncio made the interrupt.
    for note in getattr(excinfo.value.__context__, "__notes__", ()):
        excinfo.value.add_note(note)


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test that what it patched was not patched in the workers."""
    report = yield
    patched = sys.modules.get(f"{__name__.partition('.')[0]}.runner.patched")
    if patched is not None and report.when == "call" and report.failed:
        monkeypatch = getattr(item, "funcargs", {}).get("monkeypatch")
        # The list is not public; without it, fewer patches are noticed.
        replaced = [each[:2] for each in getattr(monkeypatch, "_setattr", ())]
        if hint := patched.hint(item.nodeid, replaced):
            report.sections.append(("durable functions", hint))
    return report


def _interpreter_ends() -> bool:
    """Whether the main thread has nothing left to run but the wait for the others."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame is None or frame.f_code.co_name == "_shutdown"


@pytest.fixture
def durable_runner(
    request: pytest.FixtureRequest,
) -> Iterator[DurableFunctionTestRunner | DurableFunctionCloudTestRunner]:
    """An open runner for the handler of the marker `durable`: a `DurableFunctionTestRunner`, or
    with --durable-mode=cloud a `DurableFunctionCloudTestRunner`."""
    marker = request.node.get_closest_marker("durable")
    if marker is None:
        raise pytest.UsageError(
            "The fixture durable_runner needs @pytest.mark.durable(handler=...) on the test, "
            "its class or its module."
        )
    if request.config.getoption("--durable-mode") == "cloud":
        with _cloud_runner(request.config, marker) as cloud:
            yield cloud
        return
    from ..runner.blocking import DurableFunctionTestRunner

    with DurableFunctionTestRunner(*marker.args, **marker.kwargs) as runner:
        yield runner


def _cloud_runner(config: pytest.Config, marker: pytest.Mark) -> DurableFunctionCloudTestRunner:
    """A runner for the marker's function where it is deployed; options of workers do not apply."""
    from ..aws.api import make_client
    from ..runner.blocking import DurableFunctionTestRunner
    from ..runner.cloud import DurableFunctionCloudTestRunner
    from ..runner.registration import function_name_of

    signature = inspect.signature(DurableFunctionTestRunner)
    given = signature.bind(*marker.args, **marker.kwargs).arguments
    return DurableFunctionCloudTestRunner(
        given.get("function_name") or function_name_of(given["handler"]),
        client=make_client(
            config.getoption("--durable-region"),
            config.getoption("--durable-endpoint"),
            options=("--durable-region", "--durable-endpoint"),
        ),
    )


@pytest.fixture
def crash_report(
    request: pytest.FixtureRequest, durable_runner: DurableFunctionTestRunner
) -> CrashReport:
    """The report on all crash points of the handler, explored with the marker's arguments."""
    if request.config.getoption("--durable-mode") == "cloud":
        pytest.skip("Crashes are explored with workers of one's own, in local mode.")
    marker = request.node.get_closest_marker("explore_crashes")
    arguments = ((), {}) if marker is None else (marker.args, marker.kwargs)
    return durable_runner.explore_crashes(*arguments[0], **arguments[1])
