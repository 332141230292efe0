"""The control client over both transports, against a `ControlService` of our own making."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from remote.handlers import charges, late, order

from async_durable_execution_runner import DurableFunctionTestRunner, errors
from async_durable_execution_runner.client import control as client_module
from async_durable_execution_runner.client.control import ControlClient, Start
from async_durable_execution_runner.client.drive import drive
from async_durable_execution_runner.client.settings import FunctionSettings
from async_durable_execution_runner.client.transport import (
    BlockingTransport,
    LoopTransport,
    WorkspaceCall,
    channel_at,
)
from async_durable_execution_runner.core.model import (
    ErrorObject,
    ExecutionStatus,
    Isolation,
    OutputStream,
    Place,
)
from async_durable_execution_runner.rpc.v1 import control_pb2 as pb
from async_durable_execution_runner.rpc.v1 import model_pb2, worker_pb2
from async_durable_execution_runner.runner import suite

from .fake_control import TOKEN, FakeControl, refuse

START = Start("orders", '{"a": 1}', "order-1", False, "tenant")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeControl]:
    fake = FakeControl(tmp_path)
    yield fake
    fake.stop()


@pytest.fixture(params=["unix", "tcp"])
async def address(request: pytest.FixtureRequest, server: FakeControl) -> str:
    return server.tcp_address if request.param == "tcp" else server.address


@pytest.fixture(params=["blocking", "loop"])
async def control(request: pytest.FixtureRequest, address: str) -> AsyncIterator[ControlClient]:
    def unavailable(what: str, detail: str) -> errors.CoordinatorUnavailable:
        return errors.CoordinatorUnavailable(f"{what}: {detail}!")

    if request.param == "loop":
        loop_transport = LoopTransport(address, TOKEN)
        yield ControlClient(loop_transport, "workspace-1", unavailable)
        await loop_transport.close()
    else:
        channel = channel_at(address)
        yield ControlClient(BlockingTransport(channel, TOKEN), "workspace-1", unavailable)
        channel.close()


def page(more: bool = False, **fields: Any) -> pb.RunPage:
    return pb.RunPage(page=pb.ExecutionPage(**fields), more=more)


def ended(arn: str = "arn", **fields: Any) -> pb.ExecutionHead:
    return pb.ExecutionHead(
        execution_arn=arn, status=model_pb2.EXECUTION_STATUS_SUCCEEDED, **fields
    )


async def test_every_call_brings_the_token(server: FakeControl, control: ControlClient) -> None:
    await control.status()
    assert server.metadata["authorization"] == f"Bearer {TOKEN}"


async def test_a_function_is_registered_as_it_is_configured(
    server: FakeControl, control: ControlClient
) -> None:
    server.answers["RegisterFunction"] = lambda *_: pb.RegisterFunctionResponse(function_id="f")
    settings = FunctionSettings(Isolation.EXECUTION, 99, 2.5, 64, {"A": "b"})
    assert await control.register("name", "inline-1", durable=True, settings=settings) == "f"
    ((_, request),) = server.requests
    assert request == pb.RegisterFunctionRequest(
        workspace_id="workspace-1",
        config=worker_pb2.FunctionConfig(
            name="name",
            durable=True,
            timeout_seconds=2.5,
            memory_mb=64,
            enforce_memory=True,
            environment={"A": "b"},
        ),
        code=worker_pb2.FunctionCode(inline_key="inline-1"),
        isolation=pb.ISOLATION_EXECUTION,
        execution_timeout_seconds=99,
    )


async def test_memory_that_was_not_given_is_told_but_not_enforced(
    server: FakeControl, control: ControlClient
) -> None:
    await control.register("name", "key", durable=True, settings=FunctionSettings())
    config = server.requests[0][1].config
    assert (config.memory_mb, config.enforce_memory) == (128, False)


async def test_run_joins_the_pages_of_a_record(server: FakeControl, control: ControlClient) -> None:
    def answer(*_: object) -> list[pb.RunExecutionsResponse]:
        line = model_pb2.OutputLine(stream=model_pb2.OUTPUT_STREAM_STDOUT, text="hi")
        invocation = pb.InvocationRecord(
            request_id="r",
            worker_id="w",
            pid=7,
            start_ms=5,
            end_ms=6,
            outcome="PENDING",
            output=[line],
        )
        step = {"type": model_pb2.OPERATION_TYPE_STEP, "status": 4}
        pages = [
            page(
                more=True,
                head=ended(
                    execution_name="order-1",
                    function_name="orders",
                    start_ms=5,
                    end_ms=9,
                    result='"x"',
                ),
                operations=[model_pb2.Operation(id="1", **step)],
                events=[model_pb2.HistoryEvent(event_id=1, type="ExecutionStarted")],
                invocations=[invocation],
            ),
            page(
                operations=[model_pb2.Operation(id="2", **step)],
                events=[model_pb2.HistoryEvent(event_id=2, type="ExecutionSucceeded")],
            ),
        ]
        return [pb.RunExecutionsResponse(pages=[each]) for each in pages]

    server.answers["RunExecutions"] = answer
    record = await control.run(START, 12.5)
    ((_, request),) = server.requests
    assert request.timeout_ms == 12_500
    assert request.starts[0] == pb.StartExecutionRequest(
        workspace_id="workspace-1",
        function_name="orders",
        payload='{"a": 1}',
        execution_name="order-1",
        skip_time=False,
        tenant_id="tenant",
        resume_after=1,
    )
    assert [operation.id for operation in record.operations] == ["1", "2"]
    assert [event.event_id for event in record.events] == [1, 2]
    (invocation,) = record.invocations
    assert (invocation.pid, invocation.output[0].stream) == (7, OutputStream.STDOUT)
    assert (record.status, record.result) == (ExecutionStatus.SUCCEEDED, '"x"')
    assert (record.start_ms, record.end_ms, record.error) == (5, 9, None)


async def test_what_is_sent_to_callbacks_and_executions(
    server: FakeControl, control: ControlClient
) -> None:
    error = ErrorObject("no", "Refused")
    await control.callback_success("c", "raw text")
    await control.callback_success("c", None)
    await control.callback_failure("c", error)
    await control.callback_heartbeat("c")
    await control.stop("arn", error)
    await control.stop("arn", None)
    await control.advance("arn", 1.5, 10)
    await control.advance(None, 2, 10)
    sent = [request for _, request in server.requests]
    assert sent[0].success.result == "raw text"
    assert sent[1].WhichOneof("completion") == "success"
    assert not sent[1].success.HasField("result")
    assert (sent[2].failure.error.type, sent[2].failure.error.message) == ("Refused", "no")
    assert sent[3].WhichOneof("completion") == "heartbeat"
    assert sent[4].error.message == "no"
    assert not sent[5].HasField("error")
    assert (sent[6].execution_arn, sent[6].duration_ms) == ("arn", 1500)
    assert (sent[7].execution_arn, sent[7].workspace_id) == ("", "workspace-1")


async def test_a_callback_that_is_not_there_comes_with_the_reason(
    server: FakeControl, control: ControlClient
) -> None:
    answers = [
        pb.AwaitCallbackResponse(callback_id="c-1"),
        pb.AwaitCallbackResponse(waiting_for="rain", status=model_pb2.EXECUTION_STATUS_RUNNING),
    ]
    server.answers["AwaitCallback"] = lambda *_: answers.pop(0)
    assert (await control.wait_for_callback("arn", "approval", 3))[0] == "c-1"
    assert await control.wait_for_callback("arn", None, 3) == ("", "rain", ExecutionStatus.RUNNING)
    assert [request.name for _, request in server.requests] == ["approval", ""]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("INVALID_ARGUMENT", "InvalidParameterValueException", errors.InvalidParameterValue),
        ("NOT_FOUND", "ResourceNotFoundException", errors.ResourceNotFound),
        (
            "ALREADY_EXISTS",
            "DurableExecutionAlreadyStartedException",
            errors.DurableExecutionAlreadyStarted,
        ),
        ("FAILED_PRECONDITION", "CallbackTimeoutException", errors.CallbackTimeout),
        ("FAILED_PRECONDITION", "VersionMismatch", errors.VersionMismatch),
        ("UNAVAILABLE", "WorkersUnavailable", errors.WorkersUnavailable),
        ("UNAUTHENTICATED", None, errors.Unauthenticated),
        ("INTERNAL", None, errors.RunnerError),
        ("INTERNAL", "SomethingFromTheFuture", errors.RunnerError),
    ],
)
async def test_refusals_are_the_errors_that_the_coordinator_raised(
    server: FakeControl,
    control: ControlClient,
    status: str,
    code: str | None,
    expected: type[Exception],
) -> None:
    server.answers["StartExecution"] = refuse(status, "Because of this.", code)
    with pytest.raises(expected, match=r"Because of this\.") as caught:
        await control.start(START)
    assert type(caught.value) is expected


async def test_a_coordinator_that_is_gone(server: FakeControl, control: ControlClient) -> None:
    await control.status()
    server.stop()
    with pytest.raises(errors.CoordinatorUnavailable, match=r"was lost during GetStatus: .+!$"):
        await control.status()


async def test_a_channel_that_was_closed(address: str) -> None:
    """The cluster that it led to was found dead and closed by another runner."""
    channel = channel_at(address)
    transport = BlockingTransport(channel, TOKEN)
    control = ControlClient(transport, "w", lambda *words: errors.CoordinatorUnavailable(*words))
    channel.close()
    for call in (control.status(), control.run(START, 1), control.advance(None, 1, 1)):
        with pytest.raises(errors.CoordinatorUnavailable, match="was lost before"):
            await call


async def test_a_coordinator_that_is_frozen(
    server: FakeControl, control: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every wait has a deadline of the client's own."""
    thaw = threading.Event()
    monkeypatch.setattr(client_module, "GRACE", 0.2)
    server.answers["RunExecutions"] = lambda *_: thaw.wait() and []
    try:
        with pytest.raises(
            errors.CoordinatorUnavailable, match=r"did not answer RunExecutions within 0\.3 seconds"
        ):
            await control.run(START, 0.1)
    finally:
        thaw.set()


async def test_an_advance_that_takes_too_long_is_the_caller_s_time_out(
    server: FakeControl, control: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    thaw = threading.Event()
    server.answers["AdvanceTime"] = lambda *_: thaw.wait() and None
    try:
        with pytest.raises(TimeoutError, match=r"not done within 0\.1 s"):
            await control.advance("arn", 10, 0.1)
    finally:
        thaw.set()


async def test_outcomes_of_many_are_told_apart(server: FakeControl, control: ControlClient) -> None:
    """Whatever part of them comes in one message."""
    missing = pb.RunError(code="ResourceNotFoundException", message="two")
    pages = [
        page(head=ended("0")),
        page(more=True, head=ended("1")),
        page(),
        pb.RunPage(error=missing),
        page(head=ended("3")),
    ]
    server.answers["RunExecutions"] = lambda *_: [
        pb.RunExecutionsResponse(pages=pages[:2]),
        pb.RunExecutionsResponse(pages=pages[2:]),
    ]
    starts = [Start("f", str(number)) for number in range(4)]
    outcomes: list[Any] = [outcome async for outcome in control.run_each(starts, 10, 3)]
    ((_, request),) = server.requests
    assert [start.payload for start in request.starts] == ["0", "1", "2", "3"]
    assert (request.at_once, request.timeout_ms) == (3, 10_000)
    assert type(outcomes[2]) is errors.ResourceNotFound
    assert str(outcomes[2]) == "two"
    arns = [outcome.execution_arn for i, outcome in enumerate(outcomes) if i != 2]
    assert arns == ["0", "1", "3"]


async def test_what_was_lost_on_the_way_is_an_outcome_of_each(
    server: FakeControl, control: ControlClient
) -> None:
    def answer(request: Any, context: Any) -> Any:
        yield pb.RunExecutionsResponse(pages=[page(head=ended("0")), page(more=True)])
        refuse("UNAVAILABLE", "gone")(request, context)

    server.answers["RunExecutions"] = answer
    starts = [Start("f", str(number)) for number in range(3)]
    first, *rest = [outcome async for outcome in control.run_each(starts, 10, 3)]
    assert first.execution_arn == "0"
    assert [type(each) for each in rest] == [errors.CoordinatorUnavailable] * 2


async def test_inputs_that_one_message_cannot_carry_go_in_several(
    server: FakeControl, control: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_MESSAGE_BYTES", 1000)

    def answer(request: pb.RunExecutionsRequest, _: object) -> list[pb.RunExecutionsResponse]:
        pages = [page(head=ended(start.payload[:2])) for start in request.starts]
        return [pb.RunExecutionsResponse(pages=pages)]

    server.answers["RunExecutions"] = answer
    starts = [
        Start("f", f'"{number}{"." * size}"') for number, size in enumerate((400, 400, 2000, 1))
    ]
    outcomes: list[Any] = [outcome async for outcome in control.run_each(starts, 10, 3)]
    assert [outcome.execution_arn[1] for outcome in outcomes] == ["0", "1", "2", "3"]
    assert [len(request.starts) for _, request in server.requests] == [2, 1, 1]


def test_blocking_coroutines_never_suspend(server: FakeControl) -> None:
    async def suspends() -> None:
        import asyncio

        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="about to suspend"):
        drive(suspends())


def open_workspace(server: FakeControl, channel: grpc.Channel) -> WorkspaceCall:
    return WorkspaceCall(
        channel,
        TOKEN,
        workers=3,
        invocation_retries=2,
        retry_backoff=0.25,
        epoch_ms=77,
        limits={"step_output": 5},
        place=Place("eu-west-1", "210987654321"),
        unavailable=errors.CoordinatorUnavailable,
    )


def test_a_workspace_is_open_until_it_is_closed(server: FakeControl) -> None:
    with grpc.insecure_channel(server.address) as channel:
        workspace = open_workspace(server, channel)
        assert workspace.id == "workspace-1"
        request = server.requests[0][1]
        assert (request.workers, request.invocation_retries) == (3, 2)
        assert (request.retry_backoff_ms, request.epoch_ms) == (250, 77)
        assert request.limits == {"step_output": 5}
        assert (request.region, request.account) == ("eu-west-1", "210987654321")
        assert not server.workspace_closed.is_set()
        workspace.close()
        assert server.workspace_closed.wait(5)


def test_a_runner_comes_with_its_functions_in_one_call(
    server: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURABLE_RUNNER_TOKEN", TOKEN)
    # The plugin has a runner ask for debuggers once for each coordinator.
    monkeypatch.setattr(suite, "debugger", None)
    runner = DurableFunctionTestRunner(order, coordinator=server.tcp_address)
    with runner.register_durable_function("charges", charges):
        ((_, opened),) = server.requests
        assert [each.config.name for each in opened.functions] == ["order", "charges"]
        # Another round trip is for those that come later.
        runner.register_durable_function("late", late)
        assert [method for method, _ in server.requests] == ["OpenWorkspace", "RegisterFunction"]


def test_a_workspace_that_is_refused(server: FakeControl) -> None:
    server.answers["OpenWorkspace"] = refuse("FAILED_PRECONDITION", "Too old.", "VersionMismatch")
    with (
        grpc.insecure_channel(server.address) as channel,
        pytest.raises(errors.VersionMismatch, match="Too old"),
    ):
        open_workspace(server, channel)
