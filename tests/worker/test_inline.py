"""An inline worker: a session on a thread of this process."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from async_durable_execution import durable_execution, step

from async_durable_execution_runner import errors
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.worker.connection import Connection
from async_durable_execution_runner.worker.inline import InlineWorker

from . import handlers
from .coordinator import Coordinator, Worker, output

log = logging.getLogger("orders")


class Inline:
    """An inline worker and its session, seen from the coordinator."""

    def __init__(self, coordinator: Coordinator) -> None:
        self.coordinator = coordinator
        self.handlers: dict[str, Any] = {}
        self.worker = InlineWorker(coordinator.connection, "ws-1", self.handlers)
        self.session: Worker

    async def invoke(self, handler: Any, **config: Any) -> pb.InvocationResult:
        key = f"key-{len(self.handlers)}"
        self.handlers[key] = handler
        code = pb.FunctionCode(inline_key=key)
        return await self.coordinator.invoke(self.session, handler, code=code, **config)


@pytest.fixture
async def inline(coordinator: Coordinator) -> AsyncIterator[Inline]:
    inline = Inline(coordinator)
    inline.worker.start()
    inline.session = await coordinator.workers.get()
    yield inline
    await asyncio.to_thread(inline.worker.stop)
    assert inline.worker.error is None


async def test_it_announces_its_workspace(inline: Inline) -> None:
    assert inline.session.hello.inline_workspace_id == "ws-1"
    assert inline.session.hello.worker_id == inline.worker.worker_id
    assert inline.session.hello.pid == os.getpid()


async def test_a_closure_sees_the_tests_own_objects(inline: Inline) -> None:
    seen = []
    await inline.invoke(lambda event, context: seen.append(event), payload="[1]")
    assert seen == [[1]]


async def test_a_durable_function_runs_and_replays(inline: Inline) -> None:
    assert output(await inline.invoke(handlers.order)) == {"Status": "PENDING"}
    inline.coordinator.execution.pass_time()
    second = await inline.invoke(handlers.order)
    assert output(second) == {"Status": "SUCCEEDED", "Result": '["1 2", {}]'}


async def test_output_is_captured_and_still_seen(
    inline: Inline, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    @durable_execution
    async def handler(event: Any) -> None:
        async def speak() -> None:
            print("in the step")
            log.warning("logged")

        await step(speak, name="speak")

    result = await inline.invoke(handler)
    assert [line.text for line in result.lines] == ["in the step", "logged"]
    assert "in the step\n" in capsys.readouterr().out
    assert "logged" in caplog.messages


@pytest.mark.parametrize(
    ("exception", "how"),
    [
        (SystemExit(3), "exit status 3"),
        (SystemExit("bye"), "exit status 1"),
        (KeyboardInterrupt(), "KeyboardInterrupt()"),
    ],
)
async def test_what_would_end_a_process_fails_the_invocation(
    inline: Inline, exception: BaseException, how: str
) -> None:
    def leave(event: Any, context: Any) -> None:
        raise exception

    result = await inline.invoke(leave)
    assert result.error.type == "Runtime.ExitError"
    expected = f"RequestId: {result.request_id} Error: Runtime exited with error: {how}"
    assert result.error.message == expected
    assert output(await inline.invoke(handlers.async_echo, payload="1")) == 1


async def test_an_exit_inside_a_step_does_not_disturb_the_next_invocation(
    inline: Inline,
) -> None:
    left = []

    @durable_execution
    async def handler(event: Any) -> Any:
        async def leave_once() -> str:
            if not left:
                left.append(True)
                sys.exit(5)
            return "stayed"

        return await step(leave_once, name="leave")

    first = await inline.invoke(handler, function_id="f")
    assert first.error.type == "Runtime.ExitError"
    second = await inline.invoke(handler, function_id="f")
    assert output(second) == {"Status": "SUCCEEDED", "Result": '"stayed"'}


async def test_a_function_of_another_workspace_is_not_found(inline: Inline) -> None:
    code = pb.FunctionCode(inline_key="nobody's")
    result = await inline.coordinator.invoke(inline.session, handlers.echo, code=code)
    assert result.error.type == "Runtime.HandlerNotFound"


BEFORE = "def handler(event, context): return 1"


@pytest.mark.parametrize(
    ("now", "durable", "kind", "message"),
    [
        ("def handler(event,", False, "UserCodeSyntaxError", "Syntax error in module 'changed': "),
        ("import nowhere", False, "ImportModuleError", "Unable to import module 'changed': No mod"),
        ("1 / 0", False, "ImportModuleError", "Unable to load 'changed.handler': ZeroDivisionErr"),
        ("other = 1", False, "HandlerNotFound", "Handler 'handler' missing on module 'changed'"),
        (BEFORE, True, "HandlerNotFound", "handler is not a durable function where the worker"),
    ],
)
async def test_what_cannot_be_loaded_is_lambdas_error(
    inline: Inline, tmp_path: Path, now: str, durable: bool, kind: str, message: str
) -> None:
    file = tmp_path / "changed.py"
    file.write_text(now)
    reference = pb.ModuleReference(module="changed", qualname="handler", file=str(file))
    try:
        result = await inline.coordinator.invoke(
            inline.session, None, code=pb.FunctionCode(reference=reference), durable=durable
        )
    finally:
        sys.modules.pop("changed", None)
    assert result.error.type == f"Runtime.{kind}"
    assert message in result.error.message


async def test_stop_ends_the_thread(inline: Inline) -> None:
    await asyncio.to_thread(inline.worker.stop)
    await inline.session.ended.wait()
    assert inline.worker.worker_id not in {thread.name for thread in threading.enumerate()}


async def test_the_end_of_the_session_ends_the_thread(inline: Inline) -> None:
    inline.session.orders.put_nowait(None)
    await inline.session.ended.wait()
    await asyncio.to_thread(inline.worker.stop)
    assert inline.worker.worker_id not in {thread.name for thread in threading.enumerate()}


async def test_a_refused_session_is_kept_as_an_error(coordinator: Coordinator) -> None:
    worker = InlineWorker(Connection(coordinator.connection.address, "guess"), "ws-1", {})
    worker.start()
    await asyncio.to_thread(worker.join)
    assert isinstance(worker.error, errors.Unauthenticated)
    assert str(worker.error) == "The token is wrong."
