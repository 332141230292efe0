"""`CheckpointDurableExecution` and `GetDurableExecutionState`, as a handler with boto3 asks them.

The worker is one by hand, so that the test has its token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from coordinator.wire import CoordinatorProcess, Leased, Wire

from async_durable_execution_runner.rpc.v1 import control_pb2 as control
from gateway.clients import client_for

pytestmark = pytest.mark.processes

STEP = {"Id": "one", "Type": "STEP", "Action": "SUCCEED", "Name": "one", "Payload": "1"}


class Handler:
    """A handler in the middle of its invocation, with boto3 for a service client."""

    def __init__(self, leased: Leased, endpoint: str) -> None:
        self.client: Any = client_for(endpoint)
        self.leased = leased
        self.arn = leased.arn
        self.token = leased.invocation.checkpoint_token

    async def ask(self, operation: str, **given: Any) -> dict[str, Any]:
        """With its ARN and its token, where no others are given."""
        given = {"DurableExecutionArn": self.arn, "CheckpointToken": self.token} | given
        answer: dict[str, Any] = await asyncio.to_thread(getattr(self.client, operation), **given)
        self.token = answer.get("CheckpointToken", self.token)
        return answer

    async def checkpoint(self, *updates: dict[str, Any], **given: Any) -> dict[str, Any]:
        return await self.ask("checkpoint_durable_execution", Updates=list(updates), **given)

    async def state(self, **given: Any) -> dict[str, Any]:
        return await self.ask("get_durable_execution_state", **given)

    async def refused(self, *updates: dict[str, Any], **given: Any) -> str:
        with pytest.raises(self.client.exceptions.InvalidParameterValueException) as caught:
            await self.checkpoint(*updates, **given)
        message: str = caught.value.response["Error"]["Message"]
        return message


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoordinatorProcess]:
    path: Path = tmp_path_factory.mktemp("coordinator")
    process = CoordinatorProcess(path)
    yield process
    assert process.end() == (0, "")


@pytest_asyncio.fixture
async def handler(coordinator: CoordinatorProcess) -> AsyncIterator[Handler]:
    async with Wire(coordinator.address) as wire, wire.runner() as runner:
        await runner.register()
        session = await wire.session("by hand", runner.id)
        arn = await runner.start('{"a": 1}')
        leased = Leased(runner, session, (await session.next()).invocation, arn)
        request = control.ServeAwsApiRequest(workspace_id=runner.id, host="127.0.0.1")
        served = await wire.ask("ServeAwsApi", request)
        yield Handler(leased, served.endpoint_url)
        session.vanish()


async def test_a_checkpoint(handler: Handler) -> None:
    first = handler.token
    answer = await handler.checkpoint(STEP)
    assert answer["CheckpointToken"] != first
    (step,) = answer["NewExecutionState"]["Operations"]
    assert (step["Id"], step["Status"], step["StepDetails"]) == (
        "one",
        "SUCCEEDED",
        {"Attempt": 1, "Result": "1"},
    )
    assert "NextMarker" not in answer["NewExecutionState"]
    await handler.leased.ends_well()


async def test_every_option_of_an_update(handler: Handler) -> None:
    answer = await handler.checkpoint(
        {"Id": "ctx", "Type": "CONTEXT", "Action": "START", "SubType": "RunInChildContext"},
        {
            "Id": "retried",
            "ParentId": "ctx",
            "Type": "STEP",
            "Action": "RETRY",
            "Error": {
                "ErrorType": "Bad",
                "ErrorMessage": "m",
                "ErrorData": "d",
                "StackTrace": ["s"],
            },
            "StepOptions": {"NextAttemptDelaySeconds": 60},
        },
        {"Id": "nap", "Type": "WAIT", "Action": "START", "WaitOptions": {"WaitSeconds": 60}},
        {
            "Id": "ask",
            "Type": "CALLBACK",
            "Action": "START",
            "CallbackOptions": {"TimeoutSeconds": 60, "HeartbeatTimeoutSeconds": 30},
        },
        {
            "Id": "call",
            "Type": "CHAINED_INVOKE",
            "Action": "START",
            "Payload": "1",
            "ChainedInvokeOptions": {"FunctionName": "missing", "TenantId": "acme"},
        },
    )
    found = {each["Id"]: each for each in answer["NewExecutionState"]["Operations"]}
    assert found["retried"]["ParentId"] == "ctx"
    assert found["retried"]["Status"] == "PENDING"
    assert found["retried"]["StepDetails"]["Error"]["StackTrace"] == ["s"]
    assert found["nap"]["WaitDetails"]["ScheduledEndTimestamp"] > found["nap"]["StartTimestamp"]
    assert found["ask"]["CallbackDetails"]["CallbackId"]
    answer = await handler.checkpoint(
        {
            "Id": "ctx",
            "Type": "CONTEXT",
            "Action": "SUCCEED",
            "ContextOptions": {"ReplayChildren": True},
        }
    )
    found = {each["Id"]: each for each in answer["NewExecutionState"]["Operations"]}
    assert found["ctx"]["ContextDetails"] == {"ReplayChildren": True}
    events = await asyncio.to_thread(
        handler.client.get_durable_execution_history, DurableExecutionArn=handler.arn
    )
    started = {each.get("Id"): each for each in events["Events"] if "Started" in each["EventType"]}
    assert started["ask"]["CallbackStartedDetails"]["Timeout"] == 60
    assert started["ask"]["CallbackStartedDetails"]["HeartbeatTimeout"] == 30
    assert started["call"]["ChainedInvokeStartedDetails"]["TenantId"] == "acme"


async def test_a_callback_s_id_is_one_that_the_service_takes(handler: Handler) -> None:
    answer = await handler.checkpoint({"Id": "ask", "Type": "CALLBACK", "Action": "START"})
    (callback,) = answer["NewExecutionState"]["Operations"]
    await asyncio.to_thread(
        handler.client.send_durable_execution_callback_success,
        CallbackId=callback["CallbackDetails"]["CallbackId"],
        Result=b"yes",
    )
    answer = await handler.checkpoint()
    (callback,) = answer["NewExecutionState"]["Operations"]
    assert (callback["Status"], callback["CallbackDetails"]["Result"]) == ("SUCCEEDED", "yes")


async def test_the_same_client_token_is_the_same_checkpoint(handler: Handler) -> None:
    token = handler.token
    first = await handler.checkpoint(STEP, ClientToken="once")
    again = await handler.checkpoint(STEP, ClientToken="once", CheckpointToken=token)
    assert again["CheckpointToken"] == first["CheckpointToken"]
    refusal = await handler.refused(ClientToken="once", CheckpointToken=token)
    assert refusal.startswith("ClientToken was used")


async def test_a_token_that_is_stale_or_foreign(handler: Handler) -> None:
    stale = handler.token
    await handler.checkpoint(STEP)
    for token, arn in (
        (stale, handler.arn),
        ("bm9uZQ==", handler.arn),
        (handler.token, handler.arn + "0"),
    ):
        refusal = await handler.refused(CheckpointToken=token, DurableExecutionArn=arn)
        assert refusal == "Invalid checkpoint token"
        with pytest.raises(
            handler.client.exceptions.InvalidParameterValueException,
            match="Invalid checkpoint token",
        ):
            await handler.state(CheckpointToken=token, DurableExecutionArn=arn)
    await handler.leased.ends_well()


async def test_a_refused_batch_changes_nothing(handler: Handler) -> None:
    refusal = await handler.refused(STEP, {"Id": "nap", "Type": "WAIT", "Action": "CANCEL"})
    assert refusal == "Cannot cancel a WAIT that does not exist or has already completed."
    state = await handler.state()
    assert [each["Type"] for each in state["Operations"]] == ["EXECUTION"]


async def test_the_end_of_an_execution_has_no_token(handler: Handler) -> None:
    answer = await handler.checkpoint(
        {"Id": "end", "Type": "EXECUTION", "Action": "SUCCEED", "Payload": "1"}
    )
    assert "CheckpointToken" not in answer
    assert (await handler.refused(STEP)) == "Invalid checkpoint token"


async def test_the_state_in_pages(handler: Handler) -> None:
    await handler.checkpoint(*({**STEP, "Id": f"step-{n}"} for n in range(120)))
    first = await handler.state()
    assert len(first["Operations"]) == 100
    assert first["Operations"][0]["ExecutionDetails"] == {"InputPayload": '{"a": 1}'}
    second = await handler.state(Marker=first["NextMarker"])
    assert len(second["Operations"]) == 21
    assert "NextMarker" not in second
    assert len((await handler.state(MaxItems=7))["Operations"]) == 7
    with pytest.raises(handler.client.exceptions.InvalidParameterValueException):
        await handler.state(Marker="x")
