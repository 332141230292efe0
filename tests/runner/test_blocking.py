"""`DurableFunctionTestRunner` end to end. What handlers may do is in `examples`."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from async_durable_execution import (
    CallbackError,
    ErrorObject,
    create_callback,
    durable_execution,
    invoke,
    step,
    wait,
    wait_for_callback,
)

from async_durable_execution_runner import (
    DurableExecutionAlreadyStarted,
    DurableFunctionTestRunner,
    ExecutionHandle,
    InvalidParameterValue,
    InvocationStatus,
    OperationNotFound,
    ResourceNotFound,
)

pytestmark = pytest.mark.processes


@durable_execution
async def echo(event: Any) -> Any:
    return event


async def whoami() -> int:
    return os.getpid()


@durable_execution
async def pid_and_wait(event: Any) -> int:
    pid = await step(whoami, name="pid")
    await wait(timedelta(hours=1), name="pause")
    return pid


@durable_execution
async def approval(event: Any) -> Any:
    callback = await create_callback(name="approval")
    try:
        return {"approved": await callback.result()}
    except CallbackError as error:
        return {"refused": str(error)}


async def ask() -> None:
    pass


@durable_execution
async def two_questions(event: Any) -> list[Any]:
    first = await wait_for_callback(ask, name="first")
    second = await wait_for_callback(ask, name="second")
    return [first, second]


@durable_execution
async def calls_payments(event: Any) -> Any:
    return await invoke("payments", event, name="payment")


@durable_execution
async def other(event: Any) -> str:
    return f"other got {event}"


@durable_execution
async def collects(event: Any) -> bool:
    return gc.isenabled()


@durable_execution
async def colour_and_wait(event: Any) -> Any:
    colour = os.environ["COLOUR"]
    await wait(timedelta(hours=1), name="pause")
    return colour


def surroundings(event: Any, context: Any) -> dict[str, Any]:
    first = context.get_remaining_time_in_millis()
    while (second := context.get_remaining_time_in_millis()) == first:
        pass
    return {
        "remaining": [first, second],
        "memory": context.memory_limit_in_mb,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "stream": [context.log_stream_name, os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]],
        "colour": os.environ["COLOUR"],
    }


@durable_execution
async def swallows_its_suspension(event: Any) -> Any:
    return await invoke("nobody", event, name="nobody")


@durable_execution
async def hangs(event: Any) -> None:
    threading.Event().wait()


@pytest.mark.parametrize("value", [None, {"a": [1, "ä"]}, "text", 1.5, [], True])
def test_input_reaches_the_handler_as_it_is(make_durable_runner: Any, value: Any) -> None:
    assert make_durable_runner(echo).run(input=value).get_deserialized_result() == value


def test_text_that_is_json_is_that_document_and_payload_is_untouched(
    make_durable_runner: Any,
) -> None:
    runner = make_durable_runner(echo)
    assert runner.run(input='{"a": 1}').get_deserialized_result() == {"a": 1}
    assert runner.run(payload='{"a":   1}').input == '{"a":   1}'
    assert runner.start(payload="no JSON").snapshot().input == "no JSON"


@pytest.mark.parametrize("name", ["order 1", "a/b", "ördér", "x" * 65])
def test_a_name_that_the_service_refuses_is_refused(make_durable_runner: Any, name: str) -> None:
    with pytest.raises(InvalidParameterValue, match="1 to 64 characters"):
        make_durable_runner(echo).run(1, execution_name=name)


def test_input_that_the_service_refuses_is_refused(make_durable_runner: Any) -> None:
    with pytest.raises(InvalidParameterValue, match=r"The input size must be .* 6291456 bytes"):
        make_durable_runner(echo).start("x" * 6_291_456)


def test_a_function_has_its_own_settings(make_durable_runner: Any) -> None:
    runner = make_durable_runner(
        calls_payments, workers=1, env={"COLOUR": "red"}, isolation="inline"
    )
    runner.register_function(
        "payments",
        surroundings,
        isolation="worker",
        invocation_timeout=3,
        memory=512,
        env={"COLOUR": "blue"},
    )
    seen = runner.run().get_deserialized_result()
    first, second = seen["remaining"]
    assert 0 < second < first <= 3000
    assert seen["stream"][0] == seen["stream"][1] != ""
    assert (int(seen["memory"]), seen["version"], seen["colour"]) == (512, "$LATEST", "blue")
    assert seen["arn"].split(":")[6] == "payments"
    runner.register_durable_function(
        "green", colour_and_wait, isolation="invocation", env={"COLOUR": "green"}
    )
    result = runner.run(function_name="green")
    assert result.get_deserialized_result() == "green"
    assert len({invocation.pid for invocation in result.invocations} - {os.getpid()}) == 2


@pytest.mark.usefixtures("own_cluster")
@pytest.mark.parametrize("isolation", ["worker", "execution", "invocation", "inline"])
def test_isolation(make_durable_runner: Any, isolation: str) -> None:
    runner = make_durable_runner(pid_and_wait, isolation=isolation, workers=1)
    first, second = runner.run(1), runner.run(2)
    pids = [invocation.pid for result in (first, second) for invocation in result.invocations]
    assert len(pids) == 4
    expected = {"worker": 1, "execution": 2, "invocation": 4, "inline": 1}[isolation]
    assert len(set(pids)) == expected
    assert (os.getpid() in pids) is (isolation == "inline")
    assert first.get_deserialized_result() == pids[0]


def test_workers_collect_garbage(make_durable_runner: Any) -> None:
    assert make_durable_runner(collects).run().get_deserialized_result() is True


def test_time_is_skipped_and_the_clock_starts_where_it_is_told_to(make_durable_runner: Any) -> None:
    start = datetime(2031, 2, 3, 4, 5, tzinfo=UTC)
    result = make_durable_runner(pid_and_wait, start_time=start).run()
    assert timedelta(0) <= result.start_timestamp - start < timedelta(seconds=1)
    assert timedelta(hours=1) <= result.duration < timedelta(hours=1, seconds=10)
    assert result.get_wait("pause").duration == timedelta(hours=1)


def test_a_sync_runner_works_inside_a_running_event_loop() -> None:
    async def test() -> Any:
        with DurableFunctionTestRunner(handler=echo, workers=1, isolation="inline") as runner:
            return runner.run(input=7).get_deserialized_result()

    assert asyncio.run(test()) == 7


@durable_execution
async def meets_another(event: dict[str, str]) -> int:
    """Goes on when another process has opened the pipe's other end."""
    with open(event["pipe"], event["end"]):
        return os.getpid()


def test_many_executions_at_once_come_back_in_order(
    make_durable_runner: Any, tmp_path: Path
) -> None:
    results = make_durable_runner(echo).run_many(range(50), timeout=30)
    assert [result.get_deserialized_result() for result in results] == list(range(50))
    assert len({result.execution_arn for result in results}) == 50
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    ends = [{"pipe": pipe, "end": end} for end in ("r", "w")]
    results = make_durable_runner(meets_another, workers=2).run_many(ends, timeout=30)
    assert len({result.get_deserialized_result() for result in results}) == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@durable_execution
async def a_real_second(event: Any) -> None:
    await wait(timedelta(seconds=1), name="pause")


def test_many_that_wait_hold_no_others_up(make_durable_runner: Any) -> None:
    """An execution that is suspended needs no worker."""
    runner = make_durable_runner(a_real_second, workers=1, skip_time=False)
    # One worker's four at a time would take ten seconds.
    assert len(runner.run_many([None] * 40, timeout=8)) == 40


def test_many_that_do_not_end_in_time_are_one_time_out(make_durable_runner: Any) -> None:
    with pytest.raises(TimeoutError, match=r"did not end within 1 s, like 2 more of 3; it waits"):
        make_durable_runner(approval).run_many([1, 2, 3], timeout=1)
    with pytest.raises(TimeoutError, match=r"did not end within 1 s; it waits for callback"):
        make_durable_runner(approval).run_many([1], timeout=1)


def test_progress_is_shown_on_a_terminal_only(
    make_durable_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = make_durable_runner(echo, isolation="inline")
    for stream, expected in ((Terminal(), "3/3 executions"), (io.StringIO(), "")):
        monkeypatch.setattr(sys, "stderr", stream)
        runner.run_many([1, 2, 3])
        assert (expected in stream.getvalue()) if expected else stream.getvalue() == ""


def test_executions_from_several_threads_of_the_test(make_durable_runner: Any) -> None:
    runner = make_durable_runner(echo)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(runner.run, range(16)))
    assert [result.get_deserialized_result() for result in results] == list(range(16))


def test_a_started_execution_has_a_handle(make_durable_runner: Any) -> None:
    runner = make_durable_runner(approval)
    handle = runner.start(input={}, execution_name="order-1")
    assert isinstance(handle, ExecutionHandle)
    assert "/durable-execution/order-1/" in handle.arn
    callback_id = handle.wait_for_callback("approval")
    snapshot = handle.run_until_suspended()
    assert snapshot.status is InvocationStatus.PENDING
    assert "approval" in snapshot.waiting_for
    assert [event.event_type for event in handle.history()][:2] == [
        "ExecutionStarted",
        "CallbackStarted",
    ]
    assert "callback approval" in handle.describe()
    runner.send_callback_success(callback_id, '"yes"')
    assert handle.result().execution_name == "order-1"
    assert handle.result().status is InvocationStatus.SUCCEEDED
    assert runner.wait_for_result(handle).status is InvocationStatus.SUCCEEDED
    assert runner.wait_for_result(handle.arn).status is InvocationStatus.SUCCEEDED


def test_run_async_gives_the_arn(make_durable_runner: Any) -> None:
    runner = make_durable_runner(echo)
    arn = runner.run_async(input=3, timeout=10)
    assert runner.wait_for_result(arn, timeout=10).get_deserialized_result() == 3


def test_an_execution_s_name_is_unique_but_for_the_same_input(make_durable_runner: Any) -> None:
    runner = make_durable_runner(echo)
    first = runner.run(1, execution_name="n")
    assert runner.run(1, execution_name="n").execution_arn == first.execution_arn
    with pytest.raises(DurableExecutionAlreadyStarted, match="another input"):
        runner.run(2, execution_name="n")


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ('{"by": "ann"}', {"by": "ann"}),
        (b'{"by": "ann"}', {"by": "ann"}),
        ({"by": "ann"}, {"by": "ann"}),
        (None, None),
    ],
)
def test_callbacks_are_answered(make_durable_runner: Any, answer: Any, seen: Any) -> None:
    runner = make_durable_runner(approval)
    handle = runner.start()
    runner.send_callback_success(runner.wait_for_callback(handle), answer)
    result = handle.result()
    expected = answer.decode() if isinstance(answer, bytes) else answer
    if isinstance(answer, str | bytes):
        assert result.get_callback("approval").result == expected
    assert result.status is InvocationStatus.SUCCEEDED, result


def test_callbacks_by_name_of_the_last_execution(make_durable_runner: Any) -> None:
    runner = make_durable_runner(two_questions)
    handle = runner.start()
    runner.send_callback_success(runner.wait_for_callback("first"), '"1"')
    second = runner.wait_for_callback(name="second")
    runner.send_callback_heartbeat(second)
    runner.send_callback_success(second, '"2"')
    assert handle.result().status is InvocationStatus.SUCCEEDED


@pytest.mark.parametrize(
    "error",
    [
        ErrorObject(message="too much", type="Refused", data=None, stack_trace=None),
        ValueError("too much"),
        "too much",
    ],
)
def test_callbacks_are_refused(make_durable_runner: Any, error: Any) -> None:
    runner = make_durable_runner(approval)
    handle = runner.start()
    runner.send_callback_failure(handle.wait_for_callback(), error)
    assert handle.result().get_callback("approval").error.message == "too much"


def test_a_callback_that_does_not_come_is_a_time_out_that_says_why(
    make_durable_runner: Any,
) -> None:
    runner = make_durable_runner(approval)
    handle = runner.start()
    handle.run_until_suspended()
    with pytest.raises(
        TimeoutError,
        match=r"(?s)No callback 'nonsense' was open .* 'approval'.*└─ callback approval",
    ):
        handle.wait_for_callback("nonsense", timeout=0.3)


def test_a_callback_that_cannot_come_is_an_error_at_once(make_durable_runner: Any) -> None:
    runner = make_durable_runner(echo)
    handle = runner.start()
    with pytest.raises(OperationNotFound, match="has ended, SUCCEEDED") as error:
        handle.wait_for_callback(timeout=30)
    assert "1 invocation" in str(error.value)


def test_callbacks_are_those_of_the_execution_that_ran_last(make_durable_runner: Any) -> None:
    runner = make_durable_runner(approval)
    runner.register_durable_function("echo", echo)
    runner.start()
    runner.run(1, function_name="echo")
    with pytest.raises(OperationNotFound, match="has ended, SUCCEEDED"):
        runner.wait_for_callback(timeout=30)


def test_an_execution_that_does_not_end_in_time_is_a_time_out_that_says_why(
    make_durable_runner: Any,
) -> None:
    handle = make_durable_runner(approval).start({"order": 1})
    handle.run_until_suspended()
    with pytest.raises(TimeoutError) as error:
        handle.result(timeout=1)
    text = str(error.value)
    assert text.startswith("The execution did not end within 1 s; it waits for callback 'app")
    assert "└─ callback approval  STARTED" in text


def test_an_execution_whose_callback_nobody_answers_times_out_where_it_may(
    make_durable_runner: Any,
) -> None:
    result = make_durable_runner(approval, execution_timeout=timedelta(days=2)).run({"order": 1})
    assert result.status is InvocationStatus.TIMED_OUT
    assert result.duration == timedelta(days=2)


def test_an_execution_that_times_out_is_a_result(make_durable_runner: Any) -> None:
    runner = make_durable_runner(pid_and_wait, execution_timeout=timedelta(minutes=5))
    result = runner.run(timeout=20)
    assert result.status is InvocationStatus.TIMED_OUT
    assert result.duration == timedelta(minutes=5)
    assert result.history[-1].event_type == "ExecutionTimedOut"


def test_a_stopped_execution_is_a_result(make_durable_runner: Any) -> None:
    handle = make_durable_runner(approval).start()
    handle.wait_for_callback()
    handle.stop(ErrorObject(message="enough", type="Enough", data=None, stack_trace=None))
    result = handle.result()
    assert result.status is InvocationStatus.STOPPED
    assert (result.error.type, result.error.message) == ("Enough", "enough")


def test_an_execution_that_is_not_there(make_durable_runner: Any) -> None:
    with pytest.raises(ResourceNotFound, match="nonsense"):
        make_durable_runner(echo).wait_for_result("nonsense")


def test_run_until_suspended_and_advance(make_durable_runner: Any) -> None:
    runner = make_durable_runner(pid_and_wait)
    handle = runner.run_until_suspended()
    snapshot = handle.snapshot()
    assert snapshot.status is InvocationStatus.PENDING
    assert snapshot.get_step("pid").status.value == "SUCCEEDED"
    assert snapshot.get_wait("pause").end_timestamp is None
    handle.advance(timedelta(minutes=59))
    assert handle.snapshot().get_wait("pause").end_timestamp is None
    runner.advance(timedelta(minutes=2))
    assert handle.snapshot().status is InvocationStatus.SUCCEEDED


def test_time_is_advanced_for_the_execution_that_was_meant(make_durable_runner: Any) -> None:
    runner = make_durable_runner(pid_and_wait)
    first, last = runner.run_until_suspended(), runner.run_until_suspended()
    first.advance(timedelta(minutes=61))
    assert first.snapshot().status is InvocationStatus.SUCCEEDED
    assert last.snapshot().status is InvocationStatus.PENDING


def test_time_goes_on_when_the_end_is_asked_for(make_durable_runner: Any) -> None:
    handle = make_durable_runner(pid_and_wait).run_until_suspended()
    assert handle.result(timeout=20).status is InvocationStatus.SUCCEEDED


def test_chained_invokes_of_a_mock(make_durable_runner: Any) -> None:
    runner = make_durable_runner(calls_payments)
    payments = runner.mock_function("payments", side_effect=[{"paid": True}, ValueError("no")])
    assert runner.run({"amount": 1}).get_deserialized_result() == {"paid": True}
    failed = runner.run({"amount": 2})
    assert failed.status is InvocationStatus.FAILED
    assert failed.get_invoke("payment").error.type == "ValueError"
    assert payments.calls == [{"amount": 1}, {"amount": 2}]


def test_functions_can_be_replaced_and_started_by_name(make_durable_runner: Any) -> None:
    runner = make_durable_runner(calls_payments)
    runner.mock_function("payments", result=1)
    assert runner.run().get_deserialized_result() == 1
    runner.register_durable_function("payments", other)
    assert runner.run("x").get_deserialized_result() == "other got x"
    assert runner.run("y", function_name="payments").get_deserialized_result() == "other got y"


def test_what_the_service_refuses_an_invocation_for_is_its_error(make_durable_runner: Any) -> None:
    result = make_durable_runner(swallows_its_suspension).run()
    assert result.status is InvocationStatus.FAILED
    problems = {each.error.message for each in result.invocations if each.error is not None}
    assert problems == {"Cannot return PENDING status with no pending operations."}


def test_a_handler_that_its_execution_did_not_wait_for_is_not_in_the_way(
    make_durable_runner: Any,
) -> None:
    runner = make_durable_runner(hangs, workers=1, execution_timeout=1)
    runner.register_durable_function("echo", echo, execution_timeout=60)
    assert runner.run(timeout=20).status is InvocationStatus.TIMED_OUT
    handle = runner.start(function_name="echo")
    assert handle.result(timeout=10).status is InvocationStatus.SUCCEEDED
    stopped = runner.start(skip_time=False)
    stopped.stop("enough")
    assert runner.run(1, function_name="echo", timeout=10).result == "1"


@pytest.mark.usefixtures("own_cluster")
def test_an_interrupt_does_not_wait_for_what_is_under_way(make_durable_runner: Any) -> None:
    """Ctrl-C in the middle of `run_many`."""
    runner = make_durable_runner(pid_and_wait, skip_time=False)
    interrupted = threading.Event()

    def interrupt() -> None:
        interrupted.wait(0.5)
        os.kill(os.getpid(), 2)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        runner.run_many(range(4), timeout=60)
    thread.join()
    assert runner.status().executions >= 4


def test_a_closed_runner_can_be_opened_again() -> None:
    runner = DurableFunctionTestRunner(handler=echo, workers=1)
    for _ in range(2):
        with runner:
            assert runner.run(1).result == "1"
            assert "open" in repr(runner)
    assert "not open" in repr(runner)


def test_a_runner_that_listens_has_a_coordinator_of_its_own() -> None:
    with DurableFunctionTestRunner(handler=echo, workers=1, listen="127.0.0.1:0") as runner:
        assert runner.address.startswith("127.0.0.1:")
        assert len(runner.token) > 20
        assert runner.run(1, timeout=20).result == "1"


def test_a_runner_without_workers_waits_for_a_host_that_is_started_by_hand() -> None:
    with DurableFunctionTestRunner(handler=echo, workers=0, listen="127.0.0.1:0") as runner:
        assert runner.status().hosts == []
        with pytest.raises(TimeoutError, match=r"durable-runner worker-host --connect"):
            runner.run(1, timeout=0.2)


def test_a_handler_that_blocks_for_ever_does_not_outlive_its_invocation(
    make_durable_runner: Any,
) -> None:
    runner = make_durable_runner(hangs, invocation_timeout=0.3, invocation_retries=0)
    result = runner.run(timeout=20)
    assert result.status is InvocationStatus.FAILED
    assert "timed out" in result.error.message
