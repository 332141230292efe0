"""What runners ask, over the wire: waiting for ends, suspension and callbacks; answers; time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from async_durable_execution_runner.rpc.v1 import control_pb2 as control
from async_durable_execution_runner.rpc.v1 import model_pb2 as model

from .wire import (
    SUCCEEDED,
    Refused,
    Runner,
    Stream,
    Wire,
    checkpoint,
    result_of,
)

pytestmark = pytest.mark.processes

HOUR_MS = 3_600_000
EPOCH_MS = 1_750_000_000_000


class Scripted:
    """A runner with one inline worker, whose handler the test plays itself."""

    def __init__(self, runner: Runner, session: Stream) -> None:
        self.runner, self.session = runner, session
        self.checkpoints = runner.wire.stream("Checkpoint")

    async def ask(self, method: str, **fields: Any) -> Any:
        return await self.runner.wire.ask(method, getattr(control, f"{method}Request")(**fields))

    async def record(self, **fields: Any) -> Any:
        """The only page of AwaitExecution's answer."""
        call = self.runner.wire.control.AwaitExecution(
            control.AwaitExecutionRequest(**fields), metadata=self.runner.wire.metadata
        )
        try:
            (answer,) = [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            raise Refused(error.code(), error.details() or "") from None
        return answer.page

    async def run(
        self, *starts: control.StartExecutionRequest, at_once: int = 8, timeout_ms: int = 5000
    ) -> list[Any]:
        """The pages of RunExecutions' answer."""
        request = control.RunExecutionsRequest(
            starts=starts, at_once=at_once, timeout_ms=timeout_ms
        )
        call = self.runner.wire.control.RunExecutions(request, metadata=self.runner.wire.metadata)
        return [page async for answer in call for page in answer.pages]

    async def ends(self) -> None:
        invocation = (await self.session.next()).invocation
        await self.session.send(result_of(invocation, SUCCEEDED))

    async def suspends_on(self, *updates: model.OperationUpdate) -> None:
        invocation = (await self.session.next()).invocation
        reply = await self.checkpoints.ask(checkpoint(invocation, *updates))
        assert not reply.HasField("error"), reply.error
        await self.session.send(result_of(invocation, {"Status": "PENDING"}))

    async def waits_for_callbacks(self, *names: str, **options: Any) -> str:
        """An execution that is suspended on callbacks of these names; its ARN."""
        arn = await self.runner.start()
        await self.suspends_on(*(callback(name, **options) for name in names))
        page = await self.record(
            execution_arn=arn,
            until=control.AWAIT_UNTIL_SUSPENDED,
            timeout_ms=5000,
        )
        assert not page.head.timed_out
        return arn


@asynccontextmanager
async def scripted(wire: Wire, **settings: Any) -> AsyncIterator[Scripted]:
    async with wire.runner(epoch_ms=EPOCH_MS, **settings) as runner:
        await runner.register()
        yield Scripted(runner, await wire.session(f"worker-of-{runner.id}", runner.id))


def callback(name: str, **options: Any) -> model.OperationUpdate:
    return model.OperationUpdate(
        id=f"id-of-{name}",
        name=name,
        type=model.OPERATION_TYPE_CALLBACK,
        action=model.OPERATION_ACTION_START,
        **options,
    )


def start_of(runner: Runner, **fields: Any) -> control.StartExecutionRequest:
    return control.StartExecutionRequest(
        workspace_id=runner.id, function_name="order", payload="1", skip_time=True, **fields
    )


# -- ends ----------------------------------------------------------------------------------


async def test_one_call_starts_waits_and_brings_the_record(wire: Wire) -> None:
    async with scripted(wire) as script:
        start = start_of(script.runner, execution_name="o-1", tenant_id="t-1")
        run = asyncio.create_task(script.run(start))
        invocation = (await script.session.next()).invocation
        assert invocation.tenant_id == "t-1"
        await script.session.send(result_of(invocation, SUCCEEDED))
        (answer,) = await run
    page = answer.page
    assert page.head.execution_name == "o-1"
    assert page.head.function_name == "order"
    assert page.head.status == model.EXECUTION_STATUS_SUCCEEDED
    assert (page.head.result, page.head.timed_out, page.head.waiting_for) == ('"fine"', False, "")
    assert EPOCH_MS <= page.head.start_ms <= page.head.end_ms < EPOCH_MS + 5000
    assert page.operations[0].input == "1"
    assert page.events[0].type == "ExecutionStarted"


async def test_a_record_that_is_late_says_what_it_waits_for(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.runner.start()
        invocation = (await script.session.next()).invocation
        page = await script.record(
            execution_arn=arn, until=control.AWAIT_UNTIL_ENDED, timeout_ms=20
        )
        assert page.head.timed_out
        assert page.head.status == model.EXECUTION_STATUS_RUNNING
        assert page.head.waiting_for.startswith(
            f"invocation 1 (request id {invocation.request_id}), which has been running for 0."
        )
        now = await script.record(execution_arn=arn, until=control.AWAIT_UNTIL_NOW, timeout_ms=0)
        assert not now.head.timed_out
        await script.session.send(result_of(invocation, SUCCEEDED))


async def test_a_suspended_execution_says_for_which_callback(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.waits_for_callbacks("approval")
        page = await script.record(
            execution_arn=arn, until=control.AWAIT_UNTIL_SUSPENDED, timeout_ms=1
        )
        callback_id = page.operations[1].callback_id
        assert page.head.waiting_for == (
            f"callback 'approval', unanswered (callback id {callback_id})"
        )


async def test_a_name_used_with_another_input_is_refused(wire: Wire) -> None:
    async with scripted(wire) as script:
        first = start_of(script.runner, execution_name="o-1")
        await script.ask("StartExecution", **{f.name: v for f, v in first.ListFields()})
        other = start_of(script.runner, execution_name="o-1")
        other.payload = "2"
        (answer,) = await script.run(other)
    assert answer.error.code == "DurableExecutionAlreadyStartedException"
    assert "started with another input" in answer.error.message


async def test_of_many_no_more_than_asked_for_are_under_way(wire: Wire) -> None:
    async with scripted(wire) as script:
        starts = [start_of(script.runner, execution_name=f"o-{n}") for n in range(3)]
        starts[1].function_name = "none"
        run = asyncio.create_task(script.run(*starts, at_once=1))
        first = (await script.session.next()).invocation
        # So the third cannot have been started.
        await script.runner.start("2", "o-2")
        await script.session.send(result_of(first, SUCCEEDED))
        await script.ends()
        answers = await run
    assert answers[0].page.head.execution_name == "o-0"
    assert [answer.error.code for answer in answers[1:]] == [
        "ResourceNotFoundException",
        "DurableExecutionAlreadyStartedException",
    ]


async def test_those_of_many_that_are_late_are_sent_as_they_stand(wire: Wire) -> None:
    async with scripted(wire) as script:
        starts = [start_of(script.runner, execution_name=f"o-{n}") for n in range(3)]
        answers = await script.run(*starts, at_once=2, timeout_ms=30)
        assert [answer.page.head.timed_out for answer in answers] == [True] * 3
        invocation = (await script.session.next()).invocation
        await script.session.send(result_of(invocation, SUCCEEDED))


async def test_records_that_are_ready_together_do_not_make_one_huge_message(wire: Wire) -> None:
    async with scripted(wire) as script:
        starts = [start_of(script.runner, execution_name=f"o-{n}") for n in range(8)]
        for start in starts:
            # It is in the record twice, as the operation's and as the event's.
            start.payload = "1" * 400_000
        request = control.RunExecutionsRequest(starts=starts, at_once=8, timeout_ms=300)
        call = script.runner.wire.control.RunExecutions(
            request, metadata=script.runner.wire.metadata
        )
        answers = [answer async for answer in call]
        assert sum(len(answer.pages) for answer in answers) == 8
        assert max(answer.ByteSize() for answer in answers) < 2_000_000
        invocation = (await script.session.next()).invocation
        await script.session.send(result_of(invocation, SUCCEEDED))


async def test_a_runner_that_gives_up_leaves_nobody_waiting(wire: Wire) -> None:
    """The executions go on; what waited for them does not."""
    async with scripted(wire) as script:
        starts = [start_of(script.runner, execution_name=f"o-{n}") for n in range(3)]
        run = asyncio.create_task(script.run(*starts, at_once=2))
        invocation = (await script.session.next()).invocation
        run.cancel()
        await asyncio.wait([run])
        await script.session.send(result_of(invocation, SUCCEEDED))
        second = (await script.session.next()).invocation
        await script.session.send(result_of(second, SUCCEEDED))
        page = await script.record(
            execution_arn=second.execution_arn,
            until=control.AWAIT_UNTIL_ENDED,
            timeout_ms=5000,
        )
        assert not page.head.timed_out
        # The third was never started.
        await script.runner.start("2", "o-2")
        await script.ends()


async def test_a_stop_ends_it_with_the_given_error(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.waits_for_callbacks("approval")
        error = model.ErrorObject(message="enough", type="Fed.Up")
        stopped = await script.ask("StopExecution", execution_arn=arn, error=error)
        page = await script.runner.result(arn)
        assert await script.ask("StopExecution", execution_arn=arn) == stopped
    assert page.head.status == model.EXECUTION_STATUS_STOPPED
    assert page.head.error == error
    assert page.head.end_ms == stopped.stop_ms


async def test_who_waits_for_suspension_is_told_of_an_end(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.runner.start()
        waiting = asyncio.create_task(
            script.record(
                execution_arn=arn,
                until=control.AWAIT_UNTIL_SUSPENDED,
                timeout_ms=5000,
            )
        )
        await script.ends()
        page = await waiting
    assert (page.head.status, page.head.timed_out) == (model.EXECUTION_STATUS_SUCCEEDED, False)


# -- callbacks -----------------------------------------------------------------------------


async def test_a_callback_is_found_by_name_and_each_is_told_of_first_once(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.waits_for_callbacks("first", "second")

        async def find(name: str = "") -> Any:
            answer = await script.ask(
                "AwaitCallback", execution_arn=arn, name=name, timeout_ms=5000
            )
            return answer.callback_id

        anyone = await find()
        assert {anyone, await find()} == {await find("first"), await find("second")}
        answers: dict[str, Any] = {"success": control.CallbackSuccess(result='"yes"')}
        await script.ask("CompleteCallback", callback_id=await find("first"), **answers)
        await script.suspends_on()
        failure = control.CallbackFailure(error=model.ErrorObject(message="no"))
        await script.ask("CompleteCallback", callback_id=await find("second"), failure=failure)
        await script.ends()
        page = await script.runner.result(arn)
    assert [(each.result, each.error.message) for each in page.operations[1:]] == [
        ('"yes"', ""),
        ("", "no"),
    ]


async def test_who_waits_for_a_callback_has_it_when_it_opens(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.runner.start()
        asking = asyncio.create_task(
            script.ask("AwaitCallback", execution_arn=arn, name="", timeout_ms=5000)
        )
        await script.suspends_on(callback("approval"))
        assert (await asking).callback_id


async def test_a_wait_for_callbacks_name_finds_the_callback_in_its_context(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.runner.start()
        context = model.OperationUpdate(
            id="context",
            name="approval",
            type=model.OPERATION_TYPE_CONTEXT,
            action=model.OPERATION_ACTION_START,
        )
        unnamed = callback("inner", parent_id="context")
        unnamed.ClearField("name")
        await script.suspends_on(context, unnamed)
        answer = await script.ask(
            "AwaitCallback", execution_arn=arn, name="approval", timeout_ms=5000
        )
        assert answer.callback_id
        page = await script.record(execution_arn=arn, until=control.AWAIT_UNTIL_NOW, timeout_ms=0)
        assert page.head.waiting_for.startswith("callback of 'approval', unanswered")


async def test_a_callback_that_does_not_come(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.waits_for_callbacks("approval")
        answer = await script.ask("AwaitCallback", execution_arn=arn, name="other", timeout_ms=20)
        assert answer.callback_id == ""
        assert answer.status == model.EXECUTION_STATUS_RUNNING
        assert answer.waiting_for.startswith("callback 'approval', unanswered")
        await script.ask("StopExecution", execution_arn=arn)
        answer = await script.ask("AwaitCallback", execution_arn=arn, name="other", timeout_ms=5000)
        assert answer.status == model.EXECUTION_STATUS_STOPPED
        assert answer.waiting_for == "nothing: it ended STOPPED"


async def test_an_answer_counts_once_and_a_late_one_not_at_all(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.waits_for_callbacks("approval", timeout_seconds=60)
        found = await script.ask("AwaitCallback", execution_arn=arn, name="", timeout_ms=5000)
        answer = {"callback_id": found.callback_id, "success": control.CallbackSuccess()}
        await script.ask("CompleteCallback", **answer)
        with pytest.raises(
            Refused, match=r"INVALID_ARGUMENT: Callback has already been completed\."
        ):
            await script.ask("CompleteCallback", **answer)
        await script.ends()

        arn = await script.waits_for_callbacks("approval", timeout_seconds=60)
        found = await script.ask("AwaitCallback", execution_arn=arn, name="", timeout_ms=5000)
        advanced = asyncio.create_task(
            script.ask("AdvanceTime", execution_arn=arn, duration_ms=HOUR_MS)
        )
        await script.ends()
        await advanced
        answer = {"callback_id": found.callback_id, "success": control.CallbackSuccess()}
        with pytest.raises(Refused, match="FAILED_PRECONDITION: Callback has already timed out"):
            await script.ask("CompleteCallback", **answer)


async def test_a_heartbeat_puts_the_time_out_off(wire: Wire) -> None:
    async with scripted(wire) as script:
        arn = await script.waits_for_callbacks("approval", heartbeat_timeout_seconds=60)
        found = await script.ask("AwaitCallback", execution_arn=arn, name="", timeout_ms=5000)
        for _ in range(3):
            await script.ask("AdvanceTime", execution_arn=arn, duration_ms=50_000)
            await script.ask(
                "CompleteCallback",
                callback_id=found.callback_id,
                heartbeat=control.CallbackHeartbeat(),
            )
        page = await script.record(execution_arn=arn, until=control.AWAIT_UNTIL_NOW, timeout_ms=0)
        assert page.operations[1].status == model.OPERATION_STATUS_STARTED


# -- time ----------------------------------------------------------------------------------


async def test_advancing_a_workspace_advances_all_its_executions(wire: Wire) -> None:
    async with scripted(wire) as script, scripted(wire) as other:
        arns = [await script.waits_for_callbacks("a", timeout_seconds=60) for _ in range(2)]
        elsewhere = await other.waits_for_callbacks("a", timeout_seconds=60)
        advance = asyncio.create_task(
            script.ask("AdvanceTime", workspace_id=script.runner.id, duration_ms=HOUR_MS)
        )
        for _ in arns:
            await script.ends()
        await advance
        for arn in arns:
            page = await script.runner.result(arn)
            assert page.operations[1].status == model.OPERATION_STATUS_TIMED_OUT
        page = await other.record(
            execution_arn=elsewhere, until=control.AWAIT_UNTIL_NOW, timeout_ms=0
        )
        assert page.operations[1].status == model.OPERATION_STATUS_STARTED


async def test_held_time_is_let_go_by_whoever_waits_for_the_end(wire: Wire) -> None:
    async with scripted(wire) as script:
        nap = model.OperationUpdate(
            id="nap",
            type=model.OPERATION_TYPE_WAIT,
            action=model.OPERATION_ACTION_START,
            wait_seconds=60,
        )
        held = start_of(script.runner, hold_time=True)
        answer = await script.ask(
            "StartExecution", **{field.name: value for field, value in held.ListFields()}
        )
        await script.suspends_on(nap)
        page = await script.record(
            execution_arn=answer.execution_arn,
            until=control.AWAIT_UNTIL_SUSPENDED,
            timeout_ms=5000,
        )
        assert page.operations[1].status == model.OPERATION_STATUS_STARTED
        assert page.head.waiting_for == "wait until 2025-06-15 15:07:40 UTC of its own time"
        result = asyncio.create_task(script.runner.result(answer.execution_arn))
        await script.ends()
        assert (await result).operations[1].status == model.OPERATION_STATUS_SUCCEEDED


# -- status --------------------------------------------------------------------------------


async def test_the_status_names_hosts_workers_and_what_they_do(wire: Wire) -> None:
    async with scripted(wire) as script:
        await wire.host("a-host", slots=3)
        arn = await script.runner.start()
        invocation = (await script.session.next()).invocation
        await script.runner.start()
        status = await wire.status()
        assert [(host.host_id, host.slots) for host in status.hosts] == [("a-host", 3)]
        (worker,) = status.workers
        assert (worker.host_id, worker.request_id) == ("", invocation.request_id)
        assert (status.executions, status.queued_invocations, status.trouble) == (2, 1, "")
        await script.session.send(result_of(invocation, SUCCEEDED))
        await script.runner.result(arn)
