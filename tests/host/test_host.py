"""The worker host, its forkserver and its workers, as real processes."""

from __future__ import annotations

import asyncio
import platform
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from worker import handlers
from worker.coordinator import ADDRESSES, TOKEN, Coordinator, output

from async_durable_execution_runner.rpc.v1 import model_pb2 as model
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb

from .conftest import end_host, start_host
from .processes import Watch, command_line, send_blocking

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ADDRESSES)
async def coordinator(request: pytest.FixtureRequest) -> AsyncIterator[Coordinator]:
    """A coordinator with a host that all tests of the module share; each starts its workers."""
    with tempfile.TemporaryDirectory() as directory:
        async with Coordinator(ADDRESSES[request.param].format(directory=directory)) as coordinator:
            host = await start_host(coordinator)
            await coordinator.host()
            yield coordinator
            await end_host(host)


def texts(lines: Iterable[model.OutputLine]) -> list[str]:
    return [line.text for line in lines]


async def test_a_host_says_what_it_has(coordinator: Coordinator) -> None:
    host = await start_host(coordinator)
    hello = await coordinator.host()
    await end_host(host)
    assert hello.slots == 2
    labels = dict(hello.labels)
    assert (labels["zone"], labels["disk"]) == ("a", "fast")
    assert labels["name"] == platform.node()
    assert labels["python"] == platform.python_version()
    assert labels["sdk"] == version("async-durable-execution")


async def test_an_sdk_that_cannot_be_imported_beforehand_prevents_nothing(
    coordinator: Coordinator,
) -> None:
    worker = await coordinator.start_worker(sdks=["nowhere"])
    result = await coordinator.invoke(worker, handlers.echo, payload="1")
    assert output(result)["event"] == 1


async def test_the_host_brings_the_token_and_a_worker_its_own_credential(
    coordinator: Coordinator,
) -> None:
    coordinator.metadata = [each for each in coordinator.metadata if each["stream"] == "Supervise"]
    worker = await coordinator.start_worker()
    await coordinator.invoke(worker, handlers.order)
    brought = {each["stream"]: each["authorization"] for each in coordinator.metadata}
    own = f"Bearer {worker.hello.worker_id}"
    assert brought == {"Supervise": f"Bearer {TOKEN}", "Session": own, "Checkpoint": own}


async def test_a_plain_function_gets_its_event_and_context(
    coordinator: Coordinator,
) -> None:
    worker = await coordinator.start_worker()
    result = await coordinator.invoke(worker, handlers.echo, payload='{"id": 1}')
    assert output(result)["event"] == {"id": 1}
    assert output(result)["context"]["function_name"] == "orders"
    assert result.request_id == output(result)["context"]["aws_request_id"]


async def test_the_environment_is_the_functions(coordinator: Coordinator) -> None:
    worker = await coordinator.start_worker()
    with_own = await coordinator.invoke(worker, handlers.echo, environment={"STAGE": "test"})
    without = await coordinator.invoke(worker, handlers.echo)
    environment = output(with_own)["environment"]
    assert environment["STAGE"] == "test"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "orders"
    assert environment["AWS_REGION"] == "eu-west-1"
    assert environment["_HANDLER"] == "worker.handlers.echo"
    assert "STAGE" not in output(without)["environment"]
    assert "DURABLE_RUNNER_TOKEN" not in environment


async def test_what_a_handler_makes_of_its_environment_stays_with_its_function(
    coordinator: Coordinator,
) -> None:
    """As on Lambda, where a process serves one function."""
    worker = await coordinator.start_worker()
    found = [
        output(await coordinator.invoke(worker, handlers.move, function_id=function))
        for function in ("a", "a", "b", "a")
    ]
    assert found == ["eu-west-1", "mars", "eu-west-1", "eu-west-1"]


async def test_a_functions_variables_are_not_made_of_anothers(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").touch()
    used, fresh = await coordinator.start_worker(), await coordinator.start_worker()
    await coordinator.invoke(used, handlers.echo, environment={"HOME": str(tmp_path)})
    after, alone = [
        output(await coordinator.invoke(worker, handlers.echo))["environment"]
        for worker in (used, fresh)
    ]
    assert after.get("AWS_ACCESS_KEY_ID") == alone.get("AWS_ACCESS_KEY_ID")


async def test_a_signal_that_a_handler_waits_for_is_its_own(coordinator: Coordinator) -> None:
    worker = await coordinator.start_worker()
    result = await coordinator.invoke(worker, handlers.wait_for_its_own_signal)
    assert output(result) == signal.SIGUSR1


async def test_a_worker_keeps_its_state_between_invocations(
    coordinator: Coordinator,
) -> None:
    first, second = await coordinator.start_worker(), await coordinator.start_worker()
    known = coordinator.invocation(handlers.count, function_id="f")
    first.orders.put_nowait(known)
    await first.results.get()
    known.ClearField("code")
    first.orders.put_nowait(known)
    assert output(await first.results.get()) == 2
    assert output(await coordinator.invoke(second, handlers.count, function_id="f")) == 1


async def test_a_durable_function_suspends_and_replays(
    coordinator: Coordinator,
) -> None:
    worker = await coordinator.start_worker()
    first = await coordinator.invoke(worker, handlers.order)
    assert output(first) == {"Status": "PENDING"}
    coordinator.execution.pass_time()
    second = await coordinator.invoke(worker, handlers.order)
    assert output(second) == {"Status": "SUCCEEDED", "Result": '["1 2", {}]'}
    names = [update.name for update in coordinator.execution.updates]
    assert names == ["one", "one", "a while"]


async def test_what_is_logged_in_replay_is_not_logged_again(
    coordinator: Coordinator,
) -> None:
    worker = await coordinator.start_worker()
    first = await coordinator.invoke(worker, handlers.order)
    coordinator.execution.pass_time()
    second = await coordinator.invoke(worker, handlers.order)
    assert texts(first.lines) == ["before the step", "in the step", "after the step"]
    assert texts(second.lines) == ["after the wait"]


async def test_a_decorator_above_the_durable_one_stays(
    coordinator: Coordinator,
) -> None:
    worker = await coordinator.start_worker()
    result = await coordinator.invoke(worker, handlers.shouted_order)
    assert output(result) == {"Status": "PENDING"}
    assert result.lines[0].text == "HANDLING orders"


async def test_what_a_handler_writes_comes_with_the_result(
    coordinator: Coordinator,
) -> None:
    worker = await coordinator.start_worker()
    result = await coordinator.invoke(worker, handlers.speak)
    assert [(line.stream, line.text) for line in result.lines] == [
        (model.OUTPUT_STREAM_STDOUT, "printed"),
        (model.OUTPUT_STREAM_STDERR, "to stderr"),
        (model.OUTPUT_STREAM_LOG, "logged 1"),
        (model.OUTPUT_STREAM_RAW, "from a child"),
        (model.OUTPUT_STREAM_STDOUT, "no newline"),
    ]
    assert result.lines[2].logger == "orders"
    again = await coordinator.invoke(worker, handlers.async_echo, payload="1")
    assert list(again.lines) == []


@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        (handlers.fail, "KeyError", "'lost'"),
        (
            handlers.unserializable,
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
        (
            handlers.not_a_number,
            "Runtime.MarshalError",
            "Unable to marshal response: Out of range float values are not JSON compliant",
        ),
    ],
)
async def test_a_failing_handler_is_an_error_and_the_worker_goes_on(
    coordinator: Coordinator, handler: Any, kind: str, message: str
) -> None:
    worker = await coordinator.start_worker()
    result = await coordinator.invoke(worker, handler)
    assert kind == result.error.type
    assert result.error.message.startswith(message)
    assert output(await coordinator.invoke(worker, handlers.surrogate)) != "\ud83d\ude00"
    if kind == "KeyError":
        (frame,) = result.error.stack_trace
        assert 'raise KeyError("lost")' in frame


@pytest.mark.parametrize(
    ("handler", "payload", "code", "last"),
    [
        (handlers.exit_hard, "1", 7, "last words"),
        (handlers.system_exit, "3", 3, "no newline"),
        (handlers.system_exit, "null", 0, "no newline"),
        (handlers.system_exit, '"bye"', 1, "bye"),
        (handlers.interrupt, "1", 1, "KeyboardInterrupt"),
        (handlers.system_exit_in_step, "1", 5, None),
    ],
)
async def test_a_handler_that_ends_its_process(
    coordinator: Coordinator,
    handler: Any,
    payload: str,
    code: int,
    last: str | None,
) -> None:
    worker = await coordinator.start_worker()
    coordinator.send(worker, handler, payload=payload)
    exited = await coordinator.exited(worker)
    assert (pb.EXIT_CAUSE_EXITED, code) == (exited.cause, exited.exit_code)
    assert worker.hello.worker_id == exited.worker_id
    assert last is None or last in texts(exited.output)
    assert 10 << 20 < exited.peak_memory_bytes < 1 << 30


async def test_a_segfault_leaves_the_stack_and_the_last_words(
    coordinator: Coordinator,
) -> None:
    worker = await coordinator.start_worker()
    coordinator.send(worker, handlers.segfault)
    exited = await coordinator.exited(worker)
    assert (exited.cause, exited.signal) == (pb.EXIT_CAUSE_SIGNALED, signal.SIGSEGV)
    assert exited.output[0].text == "last words"
    assert any("in segfault" in text for text in texts(exited.output))


async def test_a_worker_past_its_memory_limit_is_killed(
    coordinator: Coordinator,
) -> None:
    worker = await coordinator.start_worker()
    limit = 200 << 20
    coordinator.order(limit_memory=pb.LimitMemory(worker_id=worker.hello.worker_id, bytes=limit))
    coordinator.send(worker, handlers.eat_memory)
    exited = await coordinator.exited(worker)
    assert exited.cause == pb.EXIT_CAUSE_MEMORY
    assert exited.peak_memory_bytes > limit


async def test_a_memory_limit_that_is_lifted_is_none(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    worker, limited = await coordinator.start_worker(), await coordinator.start_worker()
    for each, limit in ((worker, 200 << 20), (worker, 0), (limited, 200 << 20)):
        order = pb.LimitMemory(worker_id=each.hello.worker_id, bytes=limit)
        coordinator.order(limit_memory=order)
    await send_blocking(coordinator, worker, handlers.hold_memory, tmp_path)
    # All are looked at together: whoever outgrows its limit now is killed after a look at both.
    coordinator.send(limited, handlers.eat_memory)
    assert (await coordinator.exited(limited)).cause == pb.EXIT_CAUSE_MEMORY
    await asyncio.to_thread((tmp_path / "fifo").write_text, "go on")
    async with asyncio.timeout(10):
        assert output(await worker.results.get()) is True


async def test_kill_takes_the_workers_children_along(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    worker = await coordinator.start_worker()
    started = await send_blocking(coordinator, worker, handlers.block, tmp_path)
    watch = Watch(worker.hello.pid, *started)
    coordinator.order(kill=pb.KillWorker(worker_id=worker.hello.worker_id))
    exited = await coordinator.exited(worker)
    assert (exited.cause, exited.signal) == (pb.EXIT_CAUSE_SIGNALED, signal.SIGKILL)
    await watch.gone()


async def test_what_a_handler_has_crippled_is_put_right(coordinator: Coordinator) -> None:
    worker = await coordinator.start_worker()
    before = await coordinator.invoke(worker, handlers.condition)
    crippled = await coordinator.invoke(worker, handlers.cripple)
    after = await coordinator.invoke(worker, handlers.condition)
    assert output(after) == output(before)
    assert texts(after.lines) == texts(before.lines) == ["heard"]
    assert crippled.unfit == after.unfit == ""


async def test_a_worker_that_cannot_be_put_right_says_so(coordinator: Coordinator) -> None:
    worker = await coordinator.start_worker()
    result = await coordinator.invoke(worker, handlers.close_every_pipe)
    assert re.fullmatch(r"its descriptor \d+ is closed", result.unfit)


async def test_killing_an_unknown_worker_is_no_error(
    coordinator: Coordinator,
) -> None:
    coordinator.order(kill=pb.KillWorker(worker_id="nobody"))
    await coordinator.start_worker()


async def test_a_worker_that_exits_leaves_no_children(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    worker = await coordinator.start_worker()
    started = await send_blocking(coordinator, worker, handlers.leave_child, tmp_path)
    watch = Watch(worker.hello.pid, *started)
    await asyncio.to_thread((tmp_path / "fifo").write_text, "go on")
    exited = await coordinator.exited(worker)
    assert (exited.cause, exited.exit_code) == (pb.EXIT_CAUSE_EXITED, 0)
    await watch.gone()


async def test_a_worker_ends_with_its_session(coordinator: Coordinator) -> None:
    worker = await coordinator.start_worker()
    worker.orders.put_nowait(None)
    exited = await coordinator.exited(worker)
    assert (exited.cause, exited.exit_code) == (pb.EXIT_CAUSE_EXITED, 0)


async def test_the_token_is_on_no_command_line_and_in_no_workers_environment(
    coordinator: Coordinator,
) -> None:
    worker = await coordinator.start_worker()
    assert TOKEN not in command_line(worker.hello.pid)
    environment = output(await coordinator.invoke(worker, handlers.echo))["environment"]
    assert TOKEN not in environment.values()
