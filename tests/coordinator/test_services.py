"""Hostile and broken clients of a real coordinator: refused, and nothing else is disturbed."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from async_durable_execution_runner.rpc import PROTOCOL_VERSION
from async_durable_execution_runner.rpc.v1 import control_pb2 as control
from async_durable_execution_runner.rpc.v1 import model_pb2 as model
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb

from .wire import (
    SUCCEEDED,
    CoordinatorProcess,
    Leased,
    Refused,
    Stream,
    Wire,
    checkpoint,
    host_hello,
    nap,
    result_of,
    step,
    worker_hello,
)

pytestmark = pytest.mark.processes

Code = grpc.StatusCode
METHODS = ["Supervise", "Session", "Checkpoint"]


async def refused(request: Any) -> Refused:
    with pytest.raises(Refused) as refusal:
        await request
    return refusal.value


# -- who may come in -----------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "wrong", "a-token ", "a-toke", "ä"])
async def test_without_the_token_nothing_works(
    coordinator: CoordinatorProcess, wire: Wire, token: str | None
) -> None:
    text = "The token is missing or wrong: set DURABLE_RUNNER_TOKEN to the coordinator's token."
    async with Wire(coordinator.address) as stranger:
        key = "authorization" if token is None or token.isascii() else "authorization-bin"
        stranger.metadata = () if token is None else ((key, f"Bearer {token}".encode()),)
        # Refused at once, before the stream has said anything.
        refusals = [await stranger.stream(method).refusal() for method in METHODS]
        refusals.append(await refused(stranger.status()))
    assert [(each.code, each.details) for each in refusals] == [(Code.UNAUTHENTICATED, text)] * 4


async def test_who_is_refused_while_he_speaks_hears_why(
    coordinator: CoordinatorProcess, wire: Wire
) -> None:
    async with Wire(coordinator.address, "wrong") as stranger:
        hello = pb.SessionRequest(hello=worker_hello())
        codes = {(await stranger.stream("Session").refusal(hello)).code for _ in range(30)}
    # gRPC may have failed to send, and then says no more than that.
    assert codes - {Code.INTERNAL} == {Code.UNAUTHENTICATED}


@pytest.mark.parametrize("method", ["Supervise", "Session"])
async def test_another_protocol_version_is_refused_with_both_numbers(
    wire: Wire, method: str
) -> None:
    hello: Any = (
        pb.SuperviseRequest(hello=host_hello(protocol_version=7))
        if method == "Supervise"
        else pb.SessionRequest(hello=worker_hello(protocol_version=7))
    )
    refusal = await wire.stream(method).refusal(hello)
    assert refusal.code is Code.FAILED_PRECONDITION
    assert f"version 7 and the coordinator {PROTOCOL_VERSION}" in refusal.details


async def test_a_runner_of_another_protocol_version_is_refused_too(wire: Wire) -> None:
    request = control.OpenWorkspaceRequest(protocol_version=7)
    call = wire.control.OpenWorkspace(request, metadata=wire.metadata)
    refusal = await Stream(call).refusal()
    assert refusal.code is Code.FAILED_PRECONDITION
    assert f"version 7 and the coordinator {PROTOCOL_VERSION}" in refusal.details


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("Supervise", pb.SuperviseRequest()),
        ("Supervise", pb.SuperviseRequest(exited=pb.WorkerExited(worker_id="x"))),
        ("Session", pb.SessionRequest()),
        ("Session", pb.SessionRequest(result=pb.InvocationResult(request_id="x"))),
    ],
    ids=lambda value: value if isinstance(value, str) else value.WhichOneof("message"),
)
async def test_a_stream_must_begin_with_a_hello(wire: Wire, method: str, message: Any) -> None:
    refusal = await wire.stream(method).refusal(message)
    assert (refusal.code, refusal.details) == (Code.INVALID_ARGUMENT, "Expected a hello first.")


async def test_two_hosts_of_one_name_are_one_too_many(wire: Wire) -> None:
    await wire.host("the-host")
    refusal = await wire.stream("Supervise").refusal(
        pb.SuperviseRequest(hello=host_hello("the-host"))
    )
    assert refusal.code is Code.ALREADY_EXISTS
    assert refusal.details == "A worker host named the-host is connected already."


async def test_a_worker_that_nobody_started_is_refused(wire: Wire, leased: Leased) -> None:
    """Neither a name that was never given out, nor that of a worker that works already."""
    for worker_id in ("", "stranger", "honest"):
        hello = worker_hello()
        hello.worker_id = worker_id
        refusal = await wire.stream("Session").refusal(pb.SessionRequest(hello=hello))
        assert refusal.code is Code.PERMISSION_DENIED
        assert f"No worker named {worker_id!r} is expected" in refusal.details
    await leased.ends_well()


async def test_a_worker_can_be_impersonated_by_nobody(wire: Wire) -> None:
    """A host's worker greets once; a second session of that name, of whatever kind, is none."""
    async with wire.runner() as runner:
        host = await wire.host()
        await runner.register(isolation=control.ISOLATION_WORKER)
        worker_id = (await host.next()).start.worker_id
        hello = pb.SessionRequest(hello=worker_hello(worker_id, runner.id))
        assert (await wire.stream("Session").refusal(hello)).code is Code.PERMISSION_DENIED
        hello = pb.SessionRequest(hello=worker_hello(worker_id))
        sessions = [wire.stream("Session") for _ in range(4)]
        answers = await asyncio.gather(
            *(session.ask(hello) for session in sessions), return_exceptions=True
        )
        assert sum(isinstance(answer, Refused) for answer in answers) == 3


async def test_an_inline_worker_of_no_runner_is_refused(wire: Wire) -> None:
    hello = pb.SessionRequest(hello=worker_hello("inline", "no-such-runner"))
    refusal = await wire.stream("Session").refusal(hello)
    assert (refusal.code, refusal.details) == (
        Code.NOT_FOUND,
        "The inline worker's runner is closed.",
    )


@pytest.mark.parametrize("method", ["Supervise", "Session"])
async def test_who_says_nothing_or_leaves_at_once_leaves_nothing(wire: Wire, method: str) -> None:
    async with wire.runner() as runner:
        for _ in range(10):
            silent, hasty = wire.stream(method), wire.stream(method)
            hello: Any = pb.SuperviseRequest(hello=host_hello())
            if method == "Session":
                hello = pb.SessionRequest(hello=worker_hello(workspace_id=runner.id))
            await hasty.send(hello)
            silent.vanish()
            hasty.vanish()


# -- sessions ------------------------------------------------------------------------------


async def test_a_second_hello_ends_the_session(wire: Wire, leased: Leased) -> None:
    session = await wire.session("liar", leased.runner.id)
    refusal = await session.refusal(pb.SessionRequest(hello=worker_hello("liar", leased.runner.id)))
    assert refusal.code is Code.INVALID_ARGUMENT
    assert refusal.details == "Expected an invocation's result."
    await leased.ends_well()


async def test_a_result_for_anothers_invocation_is_refused(wire: Wire, leased: Leased) -> None:
    session = await wire.session("liar", leased.runner.id)
    lie = {"Status": "SUCCEEDED", "Result": '"stolen"'}
    refusal = await session.refusal(result_of(leased.invocation, lie))
    assert refusal.code is Code.PERMISSION_DENIED
    assert refusal.details == (
        f"Invocation {leased.invocation.request_id!r} was never leased to worker liar."
    )
    await leased.ends_well()


@pytest.mark.parametrize("output", ["", "null", "}{", '{"Status": 1}', "[" * 100_000])
async def test_an_output_that_is_none_fails_its_invocation_only(
    wire: Wire, leased: Leased, output: str
) -> None:
    result = pb.InvocationResult(request_id=leased.invocation.request_id, output=output)
    await leased.session.send(pb.SessionRequest(result=result))
    page = await leased.runner.result(leased.arn)
    assert page.head.error.message.startswith("The handler returned something that is no")


async def test_an_error_is_the_executions_word_for_word(leased: Leased) -> None:
    error = model.ErrorObject(message="no", type="Refused", data="{}", stack_trace=["a", "b"])
    result = pb.InvocationResult(request_id=leased.invocation.request_id, error=error)
    await leased.session.send(pb.SessionRequest(result=result))
    assert (await leased.runner.result(leased.arn)).head.error == error


async def test_code_travels_with_a_workers_first_invocation_of_a_function(
    leased: Leased,
) -> None:
    assert leased.invocation.code.inline_key == "key"
    await leased.ends_well()
    arn = await leased.runner.start()
    second = (await leased.session.next()).invocation
    assert not second.HasField("code")
    await leased.session.send(result_of(second, SUCCEEDED))
    await leased.runner.result(arn)


async def test_a_plain_function_gets_its_payload_and_no_state(wire: Wire, leased: Leased) -> None:
    await leased.runner.register(name="plain", durable=False)
    other = await wire.session("other", leased.runner.id)
    call = model.OperationUpdate(
        id="call",
        type=model.OPERATION_TYPE_CHAINED_INVOKE,
        action=model.OPERATION_ACTION_START,
        function_name="plain",
        payload='{"n": 1}',
        tenant_id="t-1",
    )
    await wire.stream("Checkpoint").ask(checkpoint(leased.invocation, call))
    invocation = (await other.next()).invocation
    assert (invocation.payload, invocation.tenant_id) == ('{"n": 1}', "t-1")
    assert (invocation.execution_arn, invocation.checkpoint_token) == ("", "")
    await other.send(result_of(invocation, 2))
    await leased.ends_well()


async def test_a_result_without_an_outcome_fails_its_invocation(wire: Wire, leased: Leased) -> None:
    result = pb.InvocationResult(request_id=leased.invocation.request_id)
    await leased.session.send(pb.SessionRequest(result=result))
    page = await leased.runner.result(leased.arn)
    assert page.head.status == model.EXECUTION_STATUS_FAILED


async def test_lines_of_an_unknown_stream_do_not_spoil_a_result(leased: Leased) -> None:
    request = result_of(leased.invocation, SUCCEEDED)
    request.result.lines.add(stream=model.OUTPUT_STREAM_STDOUT, text="known")
    line = request.result.lines.add(text="unknown")
    line.MergeFromString(b"\x08\x63")
    await leased.session.send(request)
    page = await leased.runner.result(leased.arn)
    assert page.head.status == model.EXECUTION_STATUS_SUCCEEDED
    assert [line.text for line in page.invocations[0].output] == ["known"]


async def test_a_session_that_vanishes_gives_its_lease_back(wire: Wire, leased: Leased) -> None:
    other = await wire.session("other", leased.runner.id)
    await other.send(pb.SessionRequest(result=pb.InvocationResult()))
    leased.session.vanish()
    page = await leased.runner.result(leased.arn)
    assert page.head.error.type == "Runtime.ExitError"
    assert page.head.error.message.endswith("the inline worker went away")
    assert page.invocations[0].outcome == "ERROR"


async def test_the_next_worker_takes_over_from_one_that_vanished(wire: Wire) -> None:
    async with wire.runner(invocation_retries=1) as runner:
        await runner.register()
        first = await wire.session("first", runner.id)
        arn = await runner.start()
        lost = (await first.next()).invocation
        checkpoints = wire.stream("Checkpoint")
        assert not (await checkpoints.ask(checkpoint(lost, step("one")))).HasField("error")
        first.vanish()
        second = await wire.session("second", runner.id)
        invocation = (await second.next()).invocation
        assert [each.id for each in invocation.operations][1:] == ["one"]
        # The first lives on and checkpoints.
        reply = await checkpoints.ask(checkpoint(lost, step("late")))
        assert reply.error.message == "Invalid checkpoint token"
        await second.send(result_of(invocation, SUCCEEDED))
        assert (await runner.result(arn)).head.result == '"fine"'


# -- checkpoints ---------------------------------------------------------------------------


async def test_a_token_that_is_not_the_newest_is_refused_and_the_stream_stays_open(
    wire: Wire, leased: Leased
) -> None:
    stream = wire.stream("Checkpoint")
    good = checkpoint(leased.invocation, step("one"))
    accepted = await stream.ask(good)
    for token in (
        good.checkpoint_token,
        "",
        "garbage",
        "\0" * 1000,
        accepted.checkpoint_token + " ",
        accepted.checkpoint_token * 10_000,
    ):
        request = checkpoint(leased.invocation, step("two"))
        request.checkpoint_token = token
        error = (await stream.ask(request)).error
        assert error.message == "Invalid checkpoint token", token[:40]
        assert (error.code, error.http_status) == ("InvalidParameterValueException", 400)
    request = checkpoint(leased.invocation, step("two"))
    request.checkpoint_token = accepted.checkpoint_token
    assert not (await stream.ask(request)).HasField("error")
    await leased.ends_well()


async def test_a_request_that_is_repeated_with_its_client_token_gets_the_same_answer(
    wire: Wire, leased: Leased
) -> None:
    stream = wire.stream("Checkpoint")
    request = checkpoint(leased.invocation, step("one"))
    request.client_token = "c-1"
    first = await stream.ask(request)
    assert first.checkpoint_token
    assert await stream.ask(request) == first
    await leased.ends_well()


async def test_a_long_state_is_delivered_in_pages(wire: Wire, leased: Leased) -> None:
    stream = wire.stream("Checkpoint")
    steps = [step(f"step-{number}") for number in range(1500)]
    # A checkpoint may have 500 updates.
    for batch in (steps[:500], steps[500:1000], steps[1000:1499], [steps[1499], nap("nap")]):
        reply = await stream.ask(checkpoint(leased.invocation, *batch))
        leased.invocation.checkpoint_token = reply.checkpoint_token
    await leased.session.send(result_of(leased.invocation, {"Status": "PENDING"}))
    second = (await leased.session.next()).invocation
    assert len(second.operations) == 1000
    request = checkpoint(second)
    request.marker = second.next_marker
    rest = await stream.ask(request)
    assert rest.next_marker == ""
    ids = [each.id for each in (*second.operations, *rest.operations)]
    assert ids[1:] == [*(each.id for each in steps), "nap"]
    await leased.session.send(result_of(second, SUCCEEDED))
    await leased.runner.result(leased.arn)


async def test_a_token_opens_its_own_execution_only(wire: Wire, leased: Leased) -> None:
    runner = leased.runner
    session = await wire.session("second", runner.id)
    arn = await runner.start()
    other = (await session.next()).invocation
    stream = wire.stream("Checkpoint")
    for foreign in (leased.arn, "", "arn:nobody", arn + "x"):
        request = checkpoint(other, step("stolen"))
        request.execution_arn = foreign
        assert (await stream.ask(request)).error.message == "Invalid checkpoint token"
        request.marker = "0"
        assert (await stream.ask(request)).HasField("error")
    await leased.ends_well()
    page = await runner.result(leased.arn)
    assert len(page.operations) == 1


@pytest.mark.parametrize("field", [2, 3], ids=["type", "action"])
async def test_numbers_that_nobody_knows_are_refused(
    wire: Wire, leased: Leased, field: int
) -> None:
    stream = wire.stream("Checkpoint")
    for number in (b"\x00", b"\x63", b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x01"):
        strange = step("one")
        strange.MergeFromString(bytes([field << 3]) + number)
        error = (await stream.ask(checkpoint(leased.invocation, strange))).error
        assert error.message in (
            "Unknown operation type.",
            "Invalid action for the given operation type.",
        )
    assert not (await stream.ask(checkpoint(leased.invocation, step("one")))).HasField("error")
    await leased.ends_well()


async def test_fields_that_nobody_knows_are_passed_over(wire: Wire, leased: Leased) -> None:
    request = checkpoint(leased.invocation, step("one"))
    unknown = b"\xfa\x3e\x05hello"
    request.MergeFromString(unknown)
    request.updates[0].MergeFromString(unknown)
    assert not (await wire.stream("Checkpoint").ask(request)).HasField("error")
    result = result_of(leased.invocation, SUCCEEDED)
    result.MergeFromString(unknown)
    await leased.session.send(result)
    assert (await leased.runner.result(leased.arn)).head.result == '"fine"'


@pytest.mark.parametrize(
    "marker", ["-1", "x", "999", "1e9", "9" * 1000, "\N{ARABIC-INDIC DIGIT ONE}"]
)
async def test_a_marker_that_was_never_given_is_refused(
    wire: Wire, leased: Leased, marker: str
) -> None:
    stream = wire.stream("Checkpoint")
    request = checkpoint(leased.invocation)
    request.marker = marker
    assert (await stream.ask(request)).error.message == "Invalid marker."
    request.marker, request.max_items = "0", -1
    assert (await stream.ask(request)).HasField("error")
    request.max_items = 2**31 - 1
    assert [each.id for each in (await stream.ask(request)).operations]
    await leased.ends_well()


async def test_a_payload_over_the_limit_is_refused(wire: Wire, leased: Leased) -> None:
    stream = wire.stream("Checkpoint")
    huge = "x" * (2**18 + 1)
    error = (await stream.ask(checkpoint(leased.invocation, step("one", huge)))).error
    assert error.message == "STEP output payload size must be less than or equal to 262144 bytes."
    reply = await stream.ask(checkpoint(leased.invocation, step("one", huge[:-1])))
    assert not reply.HasField("error")
    await leased.ends_well()


async def test_a_batch_that_is_refused_changes_nothing(wire: Wire, leased: Leased) -> None:
    stream = wire.stream("Checkpoint")
    bad = nap("two")
    bad.ClearField("wait_seconds")
    reply = await stream.ask(checkpoint(leased.invocation, step("one"), bad))
    assert reply.error.message == "Invalid WaitOptions for the given action."
    assert not (await stream.ask(checkpoint(leased.invocation, step("one")))).HasField("error")
    await leased.ends_well()


# -- hosts ---------------------------------------------------------------------------------


async def test_a_host_is_told_whom_to_start_to_limit_and_to_kill(wire: Wire) -> None:
    async with wire.runner() as runner:
        host = await wire.host()
        await runner.register(
            isolation=control.ISOLATION_WORKER,
            timeout_seconds=0.05,
            memory_mb=64,
            enforce_memory=True,
        )
        worker_id = (await host.next()).start.worker_id
        session = await wire.session(worker_id)
        arn = await runner.start()
        assert (await session.next()).invocation.function.memory_mb == 64
        orders = [await host.next()]
        while not (order := orders[-1]).HasField("kill"):
            if order.HasField("take_stacks"):
                assert order.take_stacks.worker_id == worker_id
                asked = order.take_stacks.request_id
                taken = pb.WorkerStacks(
                    worker_id=worker_id, request_id=asked, dumps=["one", "two"], verdict="stuck"
                )
                # Another host's word on it is not heard.
                liar = await wire.host()
                lie = pb.WorkerStacks(worker_id=worker_id, request_id=asked, verdict="a lie")
                await liar.send(pb.SuperviseRequest(stacks=lie))
                await liar.finish()
                await host.send(pb.SuperviseRequest(stacks=taken))
            orders.append(await host.next())
        assert order.kill.worker_id == worker_id
        limits = [each.limit_memory for each in orders if each.HasField("limit_memory")]
        assert [(each.worker_id, each.bytes) for each in limits] == [(worker_id, 64 * 2**20)]
        exited = pb.WorkerExited(worker_id=worker_id, cause=pb.EXIT_CAUSE_SIGNALED, signal=9)
        await host.send(pb.SuperviseRequest(exited=exited))
        page = await runner.result(arn)
        assert page.head.error.type == "Sandbox.Timedout"
        assert list(page.head.error.stack_trace) == ["stuck", "two"]
        assert [(list(each.stacks), each.verdict) for each in page.invocations][:1] == [
            (["one", "two"], "stuck")
        ]


async def test_a_worker_that_is_not_fit_to_go_on_is_killed(wire: Wire) -> None:
    async with wire.runner() as runner:
        host = await wire.host()
        await runner.register(isolation=control.ISOLATION_WORKER)
        worker_id = (await host.next()).start.worker_id
        session = await wire.session(worker_id)
        arn = await runner.start()
        request = result_of((await session.next()).invocation, SUCCEEDED)
        request.result.unfit = "its RLIMIT_NOFILE is 8"
        await session.send(request)
        while not (order := await host.next()).HasField("kill"):
            assert order.HasField("start")
        assert order.kill.worker_id == worker_id
        page = await runner.result(arn)
        assert page.head.status == model.EXECUTION_STATUS_SUCCEEDED


async def test_a_host_may_lie_about_workers_that_are_not_its_own(
    wire: Wire, leased: Leased
) -> None:
    host = await wire.host()
    for worker_id in ("honest", "", "nobody"):
        exited = pb.WorkerExited(worker_id=worker_id, cause=pb.EXIT_CAUSE_EXITED)
        await host.send(pb.SuperviseRequest(exited=exited))
        taken = pb.WorkerStacks(worker_id=worker_id, verdict="stuck")
        await host.send(pb.SuperviseRequest(stacks=taken))
    await host.send(pb.SuperviseRequest(hello=host_hello()))
    await host.send(pb.SuperviseRequest())
    await leased.ends_well()


async def test_an_exit_report_of_unknown_numbers_is_an_exit_all_the_same(wire: Wire) -> None:
    async with wire.runner() as runner:
        host = await wire.host()
        await runner.register(isolation=control.ISOLATION_WORKER)
        worker_id = (await host.next()).start.worker_id
        session = await wire.session(worker_id)
        arn = await runner.start()
        assert (await session.next()).invocation.execution_arn == arn
        exited = pb.WorkerExited(worker_id=worker_id, signal=12345, exit_code=-1)
        exited.MergeFromString(b"\x10\x63")
        exited.output.add(text="a line").MergeFromString(b"\x08\x63")
        await host.send(pb.SuperviseRequest(exited=exited))
        page = await runner.result(arn)
        assert page.head.error.message.endswith("Runtime exited with error: unknown")
        # And it is still a host: it is asked for a worker to replace that one.
        await runner.start()
        while not (message := await host.next()).HasField("start"):
            pass
        assert message.start.worker_id != worker_id
