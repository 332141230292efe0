"""Chained invokes: how a target is found, and how its end reaches whoever invoked it."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys

import pytest

from async_durable_execution_runner.coordinator import chained
from async_durable_execution_runner.coordinator.runs import Call
from async_durable_execution_runner.coordinator.waiting_for import waiting_for
from async_durable_execution_runner.core.model import ErrorObject, ExecutionStatus, OperationStatus

from .world import (
    HOUR,
    PENDING,
    Script,
    World,
    does,
    event,
    events_of,
    for_ever,
    invoke,
    step,
    succeeded,
    succeeded_with,
    wait,
)

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


async def test_a_durable_target_is_an_execution_of_its_own(world: World) -> None:
    world.host()
    workspace = world.workspace()

    def child(run: Script) -> str:
        return PENDING if run.once(wait("nap", 5)) else succeeded({"doubled": run.input * 2})

    world.function(workspace, does(invoke("call", "child", payload="21", tenant_id="t-1")))
    world.function(workspace, child, "child")
    run = await world.ended(world.start(workspace))

    call = run.execution.operations["call"]
    assert (call.status, call.result) == (OperationStatus.SUCCEEDED, '{"doubled": 42}')
    started = event(run, "ChainedInvokeStarted")
    assert started.execution_arn is not None
    assert (started.executed_version, started.tenant_id) == ("$LATEST", "t-1")
    target = world.executor.run(started.execution_arn)
    assert target.arn.startswith(f"{ARN}child:$LATEST/durable-execution/")
    assert target.tenant_id == "t-1"
    assert "WaitSucceeded" in events_of(target)
    assert "WaitSucceeded" not in events_of(run)


async def test_a_plain_target_is_one_invocation(world: World) -> None:
    world.host()
    workspace = world.workspace()
    tenants: list[str | None] = []

    def plain(run: Script) -> str:
        lease = world.executor.leases.of(run.request_id)
        assert lease is not None
        assert isinstance(lease.subject, Call)
        tenants.append(lease.subject.tenant_id)
        return run.payload

    world.function(workspace, does(invoke("call", "plain", payload='{"n": 1}', tenant_id="t-1")))
    world.function(workspace, plain, "plain", durable=False)
    run = await world.ended(world.start(workspace))

    assert tenants == ["t-1"]
    assert run.execution.operations["call"].result == '{"n": 1}'
    assert event(run, "ChainedInvokeStarted").execution_arn is None
    assert len(workspace.runs) == 1
    assert len(run.invocations) == 2


async def test_what_a_plain_target_writes_stands_with_the_one_that_called_it(world: World) -> None:
    """Whether it ends after the caller's invocation or during it."""
    world.host()
    workspace = world.workspace()
    ended = asyncio.Event()

    def plain(run: Script) -> str:
        run.print("from the callee")
        return "1"

    async def waits(run: Script) -> str:
        if run.once(invoke("call", "plain")):
            run.print("from the caller")
            await ended.wait()
            return PENDING
        return succeeded()

    world.function(workspace, plain, "plain", durable=False)
    world.function(workspace, waits)
    run = world.start(workspace)
    await world.until(run, lambda: "ChainedInvokeSucceeded" in events_of(run))
    ended.set()
    await world.ended(run)
    lines = [line.text for line in run.invocations[0].output]
    assert sorted(lines) == ["from the callee", "from the caller"]


async def test_without_a_payload_the_target_gets_null(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(invoke("a", "plain"), invoke("b", "durable")))
    world.function(workspace, lambda run: run.payload, "plain", durable=False)
    world.function(workspace, lambda run: succeeded([run.input]), "durable")
    run = await world.ended(world.start(workspace))
    assert run.execution.operations["a"].result == "null"
    assert run.execution.operations["b"].result == "[null]"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("charge", "bare"),
        ("charge:prod", "prod"),
        ("charge:test", "bare"),
        ("charge:$LATEST", "bare"),
        (f"{ARN}charge", "bare"),
        (f"{ARN}charge:prod", "prod"),
        (f"{ARN}charge:7", "bare"),
    ],
)
async def test_a_target_is_found_by_name_qualifier_or_arn(
    world: World, asked: str, found: str
) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(invoke("call", asked)))
    world.function(workspace, lambda _: '"bare"', "charge", durable=False)
    world.function(workspace, lambda _: '"prod"', "charge:prod", durable=False)
    run = await world.ended(world.start(workspace))
    assert run.execution.operations["call"].result == json.dumps(found)


@pytest.mark.parametrize("asked", ["nowhere", f"{ARN}nowhere", "charge", "charge:test"])
async def test_a_missing_target_fails_the_operation(world: World, asked: str) -> None:
    """Only `charge:prod` is there; its bare name is not."""
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(invoke("call", asked)))
    world.function(workspace, lambda _: "1", "charge:prod", durable=False)
    run = await world.ended(world.start(workspace))
    call = run.execution.operations["call"]
    assert call.status is OperationStatus.FAILED
    text = f"Function not found: {ARN}{asked.removeprefix(ARN)}"
    assert call.error == ErrorObject(text, "ResourceNotFoundException")


async def test_another_runners_functions_are_not_found(world: World) -> None:
    world.host()
    elsewhere, here = world.workspace(), world.workspace()
    world.function(elsewhere, lambda _: "1", "plain", durable=False)
    world.function(here, does(invoke("call", "plain")))
    run = await world.ended(world.start(here))
    assert run.execution.operations["call"].status is OperationStatus.FAILED


@pytest.mark.parametrize("durable", [True, False])
async def test_a_target_that_raises_fails_the_operation(world: World, durable: bool) -> None:
    """A durable one has its retries first; a plain one has none."""
    world.host()
    workspace = world.workspace(retries=1)
    times: list[str] = []

    def target(run: Script) -> str:
        times.append(run.request_id)
        raise ValueError("no")

    world.function(workspace, does(invoke("call", "target"), result="went on"))
    world.function(workspace, target, "target", durable=durable)
    run = await world.ended(world.start(workspace))
    call = run.execution.operations["call"]
    assert (call.status, call.error) == (OperationStatus.FAILED, ErrorObject("no", "ValueError"))
    assert succeeded_with(run) == "went on"
    assert len(times) == (2 if durable else 1)


async def test_a_target_that_times_out_times_the_operation_out(world: World) -> None:
    world.host()
    workspace = world.workspace()
    world.function(workspace, does(invoke("call", "child")))
    world.function(workspace, does(wait("n", 9 * HOUR)), "child", execution_timeout_seconds=HOUR)
    run = await world.ended(world.start(workspace))
    call = run.execution.operations["call"]
    assert call.status is OperationStatus.TIMED_OUT
    assert call.error == ErrorObject(
        "CHAINED_INVOKE timed out after 3600 seconds.", "ChainedInvoke.Timeout"
    )
    assert "ChainedInvokeTimedOut" in events_of(run)


async def test_a_target_that_is_stopped_stops_the_operation(world: World) -> None:
    world.host()
    workspace = world.workspace()
    children: list[str] = []

    async def child(run: Script) -> str:
        children.append(run.arn)
        world.stop(world.executor.run(run.arn))
        return await for_ever(run)

    world.function(workspace, does(invoke("call", "child")))
    world.function(workspace, child, "child")
    run = await world.ended(world.start(workspace))
    assert len(children) == 1
    call = run.execution.operations["call"]
    assert (call.status, call.error) == (OperationStatus.STOPPED, ErrorObject("enough", "Stopped"))


async def test_a_stop_of_the_parent_leaves_its_child_to_itself(world: World) -> None:
    world.host()
    workspace = world.workspace()
    begun = asyncio.Event()

    async def child(run: Script) -> str:
        if run.once(wait("nap", HOUR)):
            begun.set()
            return PENDING
        return succeeded("alone")

    world.function(workspace, does(invoke("call", "child")))
    world.function(workspace, child, "child")
    run = world.start(workspace, hold_time=True)
    await begun.wait()
    world.stop(run)
    _, other = workspace.runs.values()
    assert succeeded_with(await world.ended(other)) == "alone"
    assert run.execution.operations["call"].status is OperationStatus.STARTED


@pytest.mark.parametrize(
    ("durable", "subject"), [(False, "CHAINED_INVOKE output"), (True, "Execution output")]
)
async def test_an_output_over_the_limit_fails_the_operation(
    world: World, durable: bool, subject: str
) -> None:
    """A durable target's own execution fails of it."""
    world.host()
    workspace = world.workspace()
    large = "x" * 2**20

    def target(_: Script) -> str:
        return succeeded(large) if durable else json.dumps(large)

    world.function(workspace, does(invoke("call", "target")))
    world.function(workspace, target, "target", durable=durable)
    run = await world.ended(world.start(workspace))
    call = run.execution.operations["call"]
    text = f"{subject} payload size must be less than or equal to 1048576 bytes."
    assert (call.status, call.error) == (OperationStatus.FAILED, ErrorObject(text))


async def test_recursion_to_a_depth_of_50(world: World) -> None:
    world.host()
    workspace = world.workspace(workers=1)

    def script(run: Script) -> str:
        depth = run.input
        if depth == 50 or run.done("call"):
            return succeeded(50 if depth == 50 else json.loads(run.operations["call"].result or ""))
        run.once(invoke("call", "order", payload=str(depth + 1)))
        return PENDING

    world.function(workspace, script)
    run = await world.ended(world.start(workspace, payload="0"))
    assert succeeded_with(run) == 50
    assert len(workspace.runs) == 51


async def test_children_that_have_ended_weigh_on_nobody(world: World) -> None:
    """Every turn looks at all members of a family, so that those who ended must leave it."""
    world.host()
    workspace = world.workspace()
    calls = [invoke(f"call-{n}", "child") for n in range(20)]
    world.function(workspace, does(*calls))
    world.function(workspace, lambda run: succeeded(), "child")
    run = await world.ended(world.start(workspace))
    assert len(workspace.runs) == 21
    assert run.family.runs == {}


async def test_a_function_registered_anew_between_checkpoint_and_invoke(world: World) -> None:
    """What a chained invoke resolved to is decided once, by the checkpoint."""
    world.host()
    workspace = world.workspace()

    def script(run: Script) -> str:
        if run.once(invoke("call", "target")):
            world.function(workspace, lambda _: succeeded("new"), "target")
        return succeeded() if run.done("call") else PENDING

    world.function(workspace, script)
    run = await world.ended(world.start(workspace))
    assert run.execution.operations["call"].status is OperationStatus.FAILED
    assert run.execution.status is ExecutionStatus.SUCCEEDED


async def test_a_function_registered_anew_before_its_invoke_is_still_the_one_that_was_asked_for(
    world: World,
) -> None:
    world.host()
    workspace = world.workspace()

    def script(run: Script) -> str:
        if run.once(invoke("call", "target")):
            world.function(workspace, lambda _: succeeded("new"), "target")
        return succeeded() if run.done("call") else PENDING

    world.function(workspace, script)
    world.function(workspace, lambda _: succeeded("old"), "target")
    run = await world.ended(world.start(workspace))
    assert run.execution.operations["call"].result == '"old"'


@pytest.mark.parametrize(
    ("how", "rest"),
    [({}, chained._REST_SECONDS), ({"record_points": True}, chained._SURE_REST_SECONDS)],
    ids=["as a rule", "explored"],
)
async def test_the_end_is_told_when_whoever_asked_has_had_the_time_to_suspend(
    world: World, how: dict[str, bool], rest: float
) -> None:
    world.host()
    workspace = world.workspace()
    seen: list[OperationStatus | None] = []
    returned = asyncio.Event()

    def target(_: Script) -> str:
        returned.set()
        return "1"

    async def script(run: Script) -> str:
        run.once(invoke("call", "target"))
        await returned.wait()
        for seconds in (0, rest * 0.9, rest * 0.2):
            await world.passes(seconds)
            run.checkpoint()
            seen.append(run.status("call"))
        return succeeded()

    world.function(workspace, script)
    world.function(workspace, target, "target", durable=False)
    await world.ended(world.start(workspace, **how))
    assert seen == [*[OperationStatus.STARTED] * 2, OperationStatus.SUCCEEDED]


async def test_a_checkpoint_that_is_refused_invokes_nothing(world: World) -> None:
    world.host()
    workspace = world.workspace()
    refused = asyncio.Event()

    def script(run: Script) -> str:
        if not run.operations.get("a"):
            with pytest.raises(Exception, match="multiple operations with the same ID"):
                run.checkpoint(invoke("call", "child"), step("a"), step("a"))
            refused.set()
        return succeeded()

    world.function(workspace, script)
    world.function(workspace, lambda run: succeeded(), "child")
    await world.ended(world.start(workspace))
    assert refused.is_set()
    assert len(workspace.runs) == 1


async def test_a_chain_without_end_is_named_by_its_first_functions(world: World) -> None:
    """It is deeper here than Python's stack may be."""
    world.host()
    workspace = world.workspace()
    deep = asyncio.Event()
    goes_on = does(invoke("call", "child"))

    def child(run: Script) -> str:
        if len(workspace.runs) > 300:
            deep.set()
        return goes_on(run)

    world.function(workspace, goes_on)
    world.function(workspace, child, "child")
    run = world.start(workspace)
    await deep.wait()
    most = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        text = waiting_for(world.executor.leases, run)
    finally:
        sys.setrecursionlimit(most)
    assert " deep: order → child → child → child → …, whose execution " in text
