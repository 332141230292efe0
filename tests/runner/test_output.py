"""What handlers print and log, on the result and in the test's own logging."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from async_durable_execution import create_callback, durable_execution, invoke

from async_durable_execution_runner import (
    AsyncDurableFunctionTestRunner,
    InvocationStatus,
    pytest_plugin,
)

pytestmark = pytest.mark.processes
log = logging.getLogger("shop.orders")


@durable_execution
async def chatty(event: Any) -> None:
    print("printed")
    print("complained", file=sys.stderr)
    log.warning("logged %d%%", 100)
    log.info("a detail")


class Declined(Exception):
    def __init__(self, card: str, code: int) -> None:
        super().__init__(f"{card} was declined: {code}")


@durable_execution
async def detailed(event: Any) -> None:
    log.debug("a detail of %s", event, extra={"order": {"id": 7}, "lineno_of": 1})
    try:
        raise Declined("4000", 51)
    except Declined:
        log.exception("not paid")


@durable_execution
async def chatty_and_stuck(event: Any) -> None:
    print("printed first")
    log.info("logged first")
    with open(event, "wb") as fifo:
        fifo.write(bytes(1 << 20))


@durable_execution
async def chatty_approval(event: Any) -> Any:
    print("printed before")
    return await (await create_callback(name="approval")).result()


@durable_execution
async def calls_payments(event: Any) -> Any:
    return await invoke("payments", event, name="payment")


def test_many_executions_of_another_function(
    make_durable_runner: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = make_durable_runner(calls_payments)
    runner.register_durable_function("chatty", chatty)
    runner.run_many([1, 2], function_name="chatty")
    assert capsys.readouterr() == ("printed\n" * 2, "complained\n" * 2)


def test_what_was_written_before_a_time_out_reaches_the_test(
    make_durable_runner: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = make_durable_runner(chatty_approval).start()
    handle.wait_for_callback()
    with pytest.raises(TimeoutError):
        handle.result(timeout=1)
    assert capsys.readouterr().out == "printed before\n"


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """A file that the handler writes to: a reader of one byte knows that the handler writes, and
    the handler then hangs for as long as the reader has the file open."""
    os.mkfifo(tmp_path / "fifo")
    return str(tmp_path / "fifo")


@pytest.mark.parametrize("isolation", ["worker", "inline"])
def test_a_time_out_shows_what_the_hanging_invocation_has_written(
    make_durable_runner: Any, isolation: str, fifo: str
) -> None:
    handle = make_durable_runner(chatty_and_stuck, isolation=isolation).start(fifo)
    with open(fifo, "rb") as reader:
        reader.read(1)
        with pytest.raises(TimeoutError, match=r"\| printed first") as caught:
            handle.result(timeout=0.1)
    logged = isolation == "worker"
    assert ("| logged first" in str(caught.value)) == logged


# A handle's `result` is left out: nothing tells when the test has come to wait in it.
@pytest.mark.parametrize("call", ["run", "run_many"])
def test_an_interrupt_says_what_was_waited_for_and_where_it_was_stuck(
    make_durable_runner: Any, call: str, fifo: str
) -> None:
    runner = make_durable_runner(chatty_and_stuck)
    calls = {
        "run": lambda: runner.run(fifo, timeout=30),
        "run_many": lambda: runner.run_many([fifo], timeout=30),
    }

    with interrupted(fifo) as caught:
        calls[call]()
    check_note(caught)


def test_an_interrupt_of_asyncio_says_so_too(fifo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Under pytest-xdist the controller is not to be told of this one.
    monkeypatch.setattr(pytest_plugin, "_borrower", None)

    async def several() -> None:
        async with AsyncDurableFunctionTestRunner(chatty_and_stuck, workers=1) as runner:
            await asyncio.gather(runner.run(fifo, timeout=30))

    with interrupted(fifo) as caught:
        asyncio.run(several())
    # As pytest does.
    pytest_plugin.pytest_keyboard_interrupt(caught)
    check_note(caught)


async def test_a_wait_that_is_cancelled_otherwise_ends_at_once() -> None:
    async with AsyncDurableFunctionTestRunner(chatty_approval, isolation="inline") as runner:
        handle = await runner.start()
        with pytest.raises(TimeoutError) as late:
            async with asyncio.timeout(0.01):
                await handle.result()
        assert not hasattr(late.value.__cause__, "__notes__")


@contextlib.contextmanager
def interrupted(fifo: str) -> Iterator[pytest.ExceptionInfo[KeyboardInterrupt]]:
    """Interrupt what is called in the block when its handler is stuck."""
    ended = threading.Event()

    def interrupt() -> None:
        with open(fifo, "rb") as reader:
            reader.read(1)
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            yield caught
    finally:
        ended.set()
    thread.join()


def check_note(caught: pytest.ExceptionInfo[KeyboardInterrupt]) -> None:
    (note,) = caught.value.__notes__
    assert "it waits for" in note
    assert "stuck, waiting" in note
    assert "fifo.write(bytes(1 << 20))" in note
    assert "| printed first" in note


def test_output_reaches_the_result_and_the_test_once(
    make_durable_runner: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = make_durable_runner(chatty).start()
    (invocation,) = handle.result().invocations
    assert (invocation.stdout, invocation.stderr) == ("printed\n", "complained\n")
    assert [log.logger for log in invocation.logs] == ["shop.orders", "shop.orders"]
    handle.result()
    mine = [r for r in caplog.records if getattr(r, "request_id", "") == invocation.request_id]
    assert capsys.readouterr() == ("printed\n", "complained\n")
    assert [(r.name, r.levelname, r.getMessage()) for r in mine] == [
        ("shop.orders", "WARNING", "logged 100%"),
        ("shop.orders", "INFO", "a detail"),
    ]


def test_output_of_a_chained_execution_reaches_the_test_s_logging(
    make_durable_runner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_durable_runner(calls_payments)
    runner.register_durable_function("payments", chatty)
    assert runner.run().status is InvocationStatus.SUCCEEDED
    assert [r.getMessage() for r in caplog.records if r.name == "shop.orders"] == [
        "logged 100%",
        "a detail",
    ]


def test_a_logged_record_keeps_what_it_has(
    make_durable_runner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_durable_runner(detailed)
    caplog.set_level(logging.DEBUG, logger="shop")
    runner.run(5)
    debug, error = [each for each in caplog.records if each.name == "shop.orders"]
    assert (debug.levelname, debug.getMessage()) == ("DEBUG", "a detail of 5")
    assert (debug.pathname, debug.funcName, debug.module) == (__file__, "detailed", "test_output")
    assert debug.lineno == detailed.__wrapped__.__code__.co_firstlineno + 2
    assert debug.order == {"id": 7}
    assert error.getMessage() == "not paid"
    assert error.exc_info is not None
    kind, raised, _ = error.exc_info
    assert (kind, str(raised)) == (Declined, "4000 was declined: 51")
    assert 'raise Declined("4000", 51)' in caplog.text
    caplog.set_level(logging.INFO, logger="shop")
    caplog.clear()
    runner.run(5)
    assert [each.levelname for each in caplog.records] == ["ERROR"]


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", 2), ("INFO", 1), ("FATAL", 0)])
def test_a_function_s_own_level_of_logging(
    make_durable_runner: Any, level: str, shown: int
) -> None:
    result = make_durable_runner(detailed, env={"AWS_LAMBDA_LOG_LEVEL": level}).run()
    assert sum(each.logger == "shop.orders" for each in result.invocations[0].logs) == shown


def test_a_level_that_the_test_chose_is_kept(
    make_durable_runner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="shop")
    result = make_durable_runner(chatty).run()
    assert not [record for record in caplog.records if record.name == "shop.orders"]
    assert len(result.invocations[0].logs) == 2


def test_inline_output_is_on_the_test_s_logging_already(
    make_durable_runner: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    result = make_durable_runner(chatty, isolation="inline").run()
    assert [r.getMessage() for r in caplog.records if r.name == "shop.orders"] == ["logged 100%"]
    assert capsys.readouterr() == ("printed\n", "complained\n")
    assert result.invocations[0].stdout == "printed\n"


def test_an_inline_handler_may_print_where_there_is_no_stdout(
    make_durable_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    result = make_durable_runner(chatty, isolation="inline").run()
    assert result.status is InvocationStatus.SUCCEEDED
    assert result.invocations[0].stdout == "printed\n"


@durable_execution
async def hostile(event: Any) -> None:
    print("printed \x1b[2J")
    log.error("logged \x1b[2J")


def test_a_terminal_is_shown_what_it_would_obey(
    make_durable_runner: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    result = make_durable_runner(hostile).run()
    assert result.invocations[0].output == "printed \x1b[2J\nlogged \x1b[2J\n"
    assert capsys.readouterr().out == "printed \\x1b[2J\n"
    assert caplog.messages == ["logged \\x1b[2J"]
