"""What handlers print and log, on the result and in the test's own logging."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from async_durable_execution import create_callback, durable_execution, invoke

from async_durable_execution_runner import InvocationStatus

pytestmark = pytest.mark.processes
log = logging.getLogger("shop.orders")


@durable_execution
async def chatty(event: Any) -> None:
    print("printed")
    print("complained", file=sys.stderr)
    log.warning("logged %d%%", 100)
    log.info("a detail")


@durable_execution
async def chatty_approval(event: Any) -> Any:
    print("printed before")
    return await (await create_callback(name="approval")).result()


@durable_execution
async def calls_payments(event: Any) -> Any:
    return await invoke("payments", event, name="payment")


def test_many_executions_of_another_function(
    runner_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runner = runner_of(calls_payments)
    runner.register_durable_function("chatty", chatty)
    runner.run_many([1, 2], function_name="chatty")
    assert [r.getMessage() for r in caplog.records].count("printed") == 2


def test_what_was_written_before_a_time_out_reaches_the_test_s_logging(
    runner_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    handle = runner_of(chatty_approval).start()
    handle.wait_for_callback()
    with pytest.raises(TimeoutError):
        handle.result(timeout=1)
    assert "printed before" in [r.getMessage() for r in caplog.records]


def test_output_reaches_the_result_and_the_test_s_logging_once(
    runner_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    handle = runner_of(chatty).start()
    (invocation,) = handle.result().invocations
    assert (invocation.stdout, invocation.stderr) == ("printed\n", "complained\n")
    assert [log.logger for log in invocation.logs] == ["shop.orders", "shop.orders"]
    handle.result()
    mine = [r for r in caplog.records if getattr(r, "request_id", "") == invocation.request_id]
    output = "async_durable_execution_runner.output"
    assert [(r.name, r.levelname, r.getMessage()) for r in mine] == [
        (output, "INFO", "printed"),
        (output, "WARNING", "complained"),
        ("shop.orders", "WARNING", "logged 100%"),
        ("shop.orders", "INFO", "a detail"),
    ]


def test_output_of_a_chained_execution_reaches_the_test_s_logging(
    runner_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runner = runner_of(calls_payments)
    runner.register_durable_function("payments", chatty)
    assert runner.run().status is InvocationStatus.SUCCEEDED
    assert [r.getMessage() for r in caplog.records if r.name == "shop.orders"] == [
        "logged 100%",
        "a detail",
    ]


def test_a_level_that_the_test_chose_is_kept(
    runner_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="shop")
    result = runner_of(chatty).run()
    assert not [record for record in caplog.records if record.name == "shop.orders"]
    assert len(result.invocations[0].logs) == 2


def test_inline_output_is_on_the_test_s_logging_already(
    runner_of: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    result = runner_of(chatty, isolation="inline").run()
    assert [r.getMessage() for r in caplog.records if r.name == "shop.orders"] == ["logged 100%"]
    assert capsys.readouterr() == ("printed\n", "complained\n")
    assert result.invocations[0].stdout == "printed\n"


def test_an_inline_handler_may_print_where_there_is_no_stdout(
    runner_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    result = runner_of(chatty, isolation="inline").run()
    assert result.status is InvocationStatus.SUCCEEDED
    assert result.invocations[0].stdout == "printed\n"
