"""The service client, against a coordinator at the other end of a real stream."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from async_durable_execution import (
    ErrorObject,
    InvocationError,
    OperationStatus,
    OperationSubType,
    OperationType,
)

from async_durable_execution_runner.rpc.v1 import model_pb2 as model
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.worker.connection import Connection
from async_durable_execution_runner.worker.sdk.async_client import AsyncClient
from async_durable_execution_runner.worker.sdk.async_models import (
    CheckpointError,
    GetExecutionStateError,
)
from async_durable_execution_runner.worker.sdk.service_client import (
    GrpcServiceClient,
    operation_from_proto,
    update_to_proto,
)

from ..coordinator import EXECUTION, START_MS, TOKEN, Coordinator

# The SDK's own enum of actions is not public.
Action = Enum("Action", {name: name for name in ("START", "SUCCEED", "FAIL", "RETRY", "CANCEL")})
START = datetime.fromtimestamp(START_MS / 1000, UTC)


def update(action: str = "START", **values: Any) -> Any:
    """What the SDK hands over: an object with these attributes."""
    options = ("step", "context", "wait", "callback", "chained_invoke")
    defaults = {f"{name}_options": None for name in options}
    defaults |= dict.fromkeys(("parent_id", "name", "sub_type", "payload", "error"))
    return SimpleNamespace(
        operation_id="a",
        operation_type=OperationType.STEP,
        action=Action[action],
        **(defaults | values),
    )


async def checkpoint(client: GrpcServiceClient, *updates: Any, token: str = "token-0") -> Any:
    return await client.checkpoint(EXECUTION, token, list(updates), None)


@pytest.fixture
def client(coordinator: Coordinator) -> GrpcServiceClient:
    return GrpcServiceClient(coordinator.connection)


async def test_a_checkpoint_returns_the_next_token_and_what_changed(
    client: GrpcServiceClient,
) -> None:
    reply = await checkpoint(client, update("SUCCEED", name="one", payload='"1 2"'))
    assert reply.checkpoint_token == "token-1"
    (operation,) = reply.new_execution_state.operations
    assert (operation.operation_id, operation.name) == ("a", "one")
    assert operation.operation_type is OperationType.STEP
    assert operation.status is OperationStatus.SUCCEEDED
    assert operation.step_details.result == '"1 2"'
    assert operation.start_timestamp == START
    assert reply.new_execution_state.next_marker is None


async def test_an_empty_checkpoint_and_the_client_token_arrive(
    coordinator: Coordinator, client: GrpcServiceClient
) -> None:
    reply = await client.checkpoint(EXECUTION, "token-0", [], "once")
    assert reply.new_execution_state.operations == []
    (request,) = coordinator.requests
    assert (request.execution_arn, request.checkpoint_token) == (EXECUTION, "token-0")
    assert request.client_token == "once"


async def test_one_stream_serves_many_checkpoints(
    coordinator: Coordinator, client: GrpcServiceClient
) -> None:
    for _ in range(3):
        await checkpoint(client)
    assert [m["stream"] for m in coordinator.metadata] == ["Checkpoint"]


async def test_a_page_of_the_state_is_read_over_the_same_stream(
    coordinator: Coordinator, client: GrpcServiceClient
) -> None:
    page = await client.get_execution_state(EXECUTION, "token-0", "m", 7)
    assert [operation.operation_id for operation in page.operations] == ["e-1"]
    assert (coordinator.requests[0].marker, coordinator.requests[0].max_items) == ("m", 7)


async def test_the_event_says_what_has_changed_meanwhile(coordinator: Coordinator) -> None:
    client = AsyncClient(coordinator.connection)
    event = client.event(pb.Invocation(updated_operation_ids=["a", "b"]))
    assert event["UpdatedOperationIds"] == ["a", "b"]


async def test_the_event_is_as_lambda_sends_it_to_decorators_above_the_handler(
    coordinator: Coordinator,
) -> None:
    event = AsyncClient(coordinator.connection).event(pb.Invocation(request_id="r"))
    assert json.loads(json.dumps(event)) == event
    assert event["InitialExecutionState"]["Operations"] == []


async def test_the_state_that_came_with_the_invocation_needs_no_request(
    coordinator: Coordinator, client: GrpcServiceClient
) -> None:
    step = model.Operation(id="a", type=model.OPERATION_TYPE_STEP, status=1, start_ms=START_MS)
    marker = client.begin(pb.Invocation(request_id="r", operations=[step], next_marker="m"))
    page = await client.get_execution_state(EXECUTION, "token-0", marker)
    assert ([o.operation_id for o in page.operations], page.next_marker) == (["a"], "m")
    assert coordinator.requests == []
    await client.get_execution_state(EXECUTION, "token-0", page.next_marker)
    assert coordinator.requests[0].marker == "m"


# No release of the SDK so far matches the text that the service sends for a stale token.
REFUSALS = [
    ("InvalidParameterValueException", "Invalid checkpoint token", 400, False),
    ("ResourceNotFoundException", "Invalid checkpoint token", 404, False),
    ("TooManyRequestsException", "Slow down.", 429, True),
    ("ServiceException", "Sorry.", 500, True),
    ("KMSAccessDeniedException", "No key.", 502, False),
    ("KMSDisabledException", "No key.", 502, False),
    ("KMSInvalidStateException", "No key.", 502, False),
    ("KMSNotFoundException", "No key.", 502, False),
]


@pytest.mark.parametrize(("code", "message", "status", "retryable"), REFUSALS)
async def test_a_refusal_is_retryable_as_the_sdk_has_it(
    coordinator: Coordinator,
    client: GrpcServiceClient,
    code: str,
    message: str,
    status: int,
    retryable: bool,
) -> None:
    refusal = model.ServiceError(code=code, message=message, http_status=status)
    coordinator.refuse = lambda _: refusal
    with pytest.raises(CheckpointError) as raised:
        await checkpoint(client)
    assert raised.value.is_retryable() is retryable
    assert str(raised.value) == (
        f"An error occurred ({code}) when calling the CheckpointDurableExecution operation: "
        f"{message}"
    )
    with pytest.raises(GetExecutionStateError):
        await client.get_execution_state(EXECUTION, "token-0", "m")


async def test_half_a_surrogate_pair_is_refused_as_over_http(
    coordinator: Coordinator, client: GrpcServiceClient
) -> None:
    half = update(name="\ud83d", to_dict=lambda: {"Id": "a", "Name": "\ud83d"})
    with pytest.raises(CheckpointError, match="The value of Name is not Unicode text"):
        await checkpoint(client, half)
    await checkpoint(client, update(name="whole"))
    assert len(coordinator.requests) == 1


async def test_a_refusal_leaves_the_stream_open(
    coordinator: Coordinator, client: GrpcServiceClient
) -> None:
    coordinator.refuse = lambda _: model.ServiceError(code="ServiceException", http_status=500)
    with pytest.raises(CheckpointError):
        await checkpoint(client)
    coordinator.refuse = lambda _: None
    await checkpoint(client)
    assert len(coordinator.metadata) == 1


def test_the_errors_are_the_sdks_invocation_errors() -> None:
    for error in (CheckpointError("gone"), GetExecutionStateError("gone")):
        assert isinstance(error, InvocationError)
        assert error.is_retryable()
        assert error.build_logger_extras() == {}


async def test_a_lost_coordinator_is_retryable_and_says_so(
    coordinator: Coordinator, client: GrpcServiceClient
) -> None:
    await checkpoint(client)
    await coordinator.vanish()
    for _ in range(2):
        with pytest.raises(CheckpointError, match="the runner's coordinator is gone") as raised:
            await checkpoint(client)
        assert raised.value.is_retryable()


async def test_a_stream_that_ended_is_opened_again(
    coordinator: Coordinator, client: GrpcServiceClient
) -> None:
    coordinator.hang_up = True
    with pytest.raises(CheckpointError, match="it closed the stream"):
        await checkpoint(client)
    coordinator.hang_up = False
    assert (await checkpoint(client)).checkpoint_token == "token-2"


async def test_a_reply_that_nobody_awaits_is_not_taken_for_the_next_ones(
    coordinator: Coordinator, client: GrpcServiceClient
) -> None:
    held = asyncio.Event()

    def cancel(_: pb.CheckpointRequest) -> None:
        first.cancel()
        coordinator.refuse = lambda _: None
        held.set()

    coordinator.refuse = cancel
    first = asyncio.ensure_future(checkpoint(client, update(name="first")))
    await held.wait()
    with pytest.raises(asyncio.CancelledError):
        await first
    reply = await checkpoint(client, update(name="second"))
    assert [o.name for o in reply.new_execution_state.operations] == ["second"]


async def test_the_wrong_token_is_told(address: str) -> None:
    async with Coordinator(address) as coordinator:
        stranger = GrpcServiceClient(Connection(coordinator.connection.address, TOKEN + "?"))
        with pytest.raises(CheckpointError, match="The token is wrong"):
            await checkpoint(stranger)


def test_each_loop_gets_a_stream_of_its_own(coordinator_thread: Coordinator) -> None:
    client = GrpcServiceClient(coordinator_thread.connection)
    for expected in ("token-1", "token-2"):
        loop = asyncio.new_event_loop()
        reply = loop.run_until_complete(checkpoint(client))
        assert reply.checkpoint_token == expected
        client.close()
        assert loop.is_closed()


ERROR = ErrorObject(message="m", type="t", data="d", stack_trace=["s"])
UPDATES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"parent_id": "p", "name": "n"}, {"parent_id": "p", "name": "n"}),
    ({"parent_id": "", "name": ""}, {}),
    ({"sub_type": OperationSubType.MAP}, {"sub_type": "Map"}),
    ({"sub_type": "My own"}, {"sub_type": "My own"}),
    ({"payload": ""}, {"payload": ""}),
    (
        {"error": ERROR},
        {"error": model.ErrorObject(message="m", type="t", data="d", stack_trace=["s"])},
    ),
    ({"error": ErrorObject(None, None, None, None)}, {"error": model.ErrorObject()}),
    (
        {"error": ErrorObject("\udcff", "t", None, ["\udcff"])},
        {"error": model.ErrorObject(message="\\udcff", type="t", stack_trace=["\\udcff"])},
    ),
    (
        {"step_options": SimpleNamespace(next_attempt_delay_seconds=0)},
        {"next_attempt_delay_seconds": 0},
    ),
    ({"context_options": SimpleNamespace(replay_children=True)}, {"replay_children": True}),
    ({"wait_options": SimpleNamespace(wait_seconds=3)}, {"wait_seconds": 3}),
    (
        {"callback_options": SimpleNamespace(timeout_seconds=0, heartbeat_timeout_seconds=5)},
        {"timeout_seconds": 0, "heartbeat_timeout_seconds": 5},
    ),
    (
        {"chained_invoke_options": SimpleNamespace(function_name="f", tenant_id=None)},
        {"function_name": "f"},
    ),
    (
        {"chained_invoke_options": SimpleNamespace(function_name="f", tenant_id="t")},
        {"function_name": "f", "tenant_id": "t"},
    ),
]


@pytest.mark.parametrize(("values", "expected"), UPDATES)
def test_every_field_of_an_update_travels(values: dict[str, Any], expected: dict[str, Any]) -> None:
    bare = {
        "id": "a",
        "type": model.OPERATION_TYPE_STEP,
        "action": model.OPERATION_ACTION_RETRY,
    }
    assert update_to_proto(update("RETRY", **values)) == model.OperationUpdate(**(bare | expected))


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("kind", list(OperationType))
def test_every_type_and_action_has_its_number(kind: OperationType, action: Any) -> None:
    made = update(action.name)
    made.operation_type = kind
    message = update_to_proto(made)
    assert model.OperationType.Name(message.type) == f"OPERATION_TYPE_{kind.name}"
    assert model.OperationAction.Name(message.action) == f"OPERATION_ACTION_{action.name}"


def operation(kind: str, **values: Any) -> Any:
    message = model.Operation(id="a", status=model.OPERATION_STATUS_STARTED, start_ms=START_MS)
    message.type = model.OperationType.Value(f"OPERATION_TYPE_{kind}")
    message.MergeFrom(model.Operation(**values))
    return operation_from_proto(message)


def test_an_operation_has_only_the_details_of_its_type() -> None:
    names = {
        "EXECUTION": "execution_details",
        "CONTEXT": "context_details",
        "STEP": "step_details",
        "WAIT": "wait_details",
        "CALLBACK": "callback_details",
        "CHAINED_INVOKE": "chained_invoke_details",
    }
    for kind in names:
        made = operation(kind)
        present = {name for name in names.values() if getattr(made, name) is not None}
        assert present == {names[kind]}


def test_details_carry_what_the_sdk_reads() -> None:
    assert operation("EXECUTION", input="{}").execution_details.input_payload == "{}"
    context = operation("CONTEXT", result="1", replay_children=True).context_details
    assert (context.result, context.replay_children, context.error) == ("1", True, None)
    step = operation("STEP", attempt=2, next_attempt_ms=START_MS).step_details
    assert (step.attempt, step.next_attempt_timestamp, step.result) == (2, START, None)
    wait = operation("WAIT", scheduled_end_ms=START_MS).wait_details
    assert wait.scheduled_end_timestamp == START
    callback = operation("CALLBACK", callback_id="c").callback_details
    assert (callback.callback_id, callback.result) == ("c", None)
    error = model.ErrorObject(message="m", type="t", data="d", stack_trace=["s"])
    assert operation("CHAINED_INVOKE", error=error).chained_invoke_details.error == ERROR


def test_an_unknown_sub_type_stays_text() -> None:
    assert operation("CONTEXT", sub_type="My own").sub_type == "My own"
    assert operation("CONTEXT", sub_type="Map").sub_type is OperationSubType.MAP
    assert operation("CONTEXT").sub_type is None
