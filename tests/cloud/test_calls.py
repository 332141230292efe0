"""How Lambda is asked: again and again where that helps, and what is said where it does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from aws.scripted import (
    ARN,
    ENDED,
    START,
    STARTED,
    CountingClock,
    Script,
    callback,
    event,
    lambda_client,
    scripted,
    sentence,
)
from botocore.exceptions import EndpointConnectionError

from async_durable_execution_runner import (
    AsyncDurableFunctionCloudTestRunner,
    DurableFunctionCloudTestRunner,
    InvocationStatus,
    LambdaCallFailed,
    NotStarted,
    OperationNotFound,
    ResourceNotFound,
    ServiceFailure,
    TooManyRequests,
)
from async_durable_execution_runner.aws.api import ATTEMPTS

Scripted = tuple[DurableFunctionCloudTestRunner, Script]


@pytest.fixture
def lambda_(clock: CountingClock) -> Iterator[Scripted]:
    with scripted(clock) as both:
        yield both
        both[1].done()


def test_an_execution_with_all_that_it_is_given(lambda_: Scripted) -> None:
    runner, script = lambda_
    script.invoked(
        FunctionName="order:live",
        InvocationType="Event",
        Payload=b'{"a": 1}',
        DurableExecutionName="o-1",
        TenantId="acme",
    )
    handle = runner.start(
        {"a": 1}, execution_name="o-1", function_name="order:live", tenant_id="acme"
    )
    assert handle.arn == ARN


def test_a_history_in_pages(lambda_: Scripted) -> None:
    runner, script = lambda_
    script.execution("SUCCEEDED", Result="1")
    script.history(STARTED, event(2, "StepStarted", "s", name="pay"), marker="m1")
    script.history(
        event(3, "StepSucceeded", "s", Result={"Payload": '"4 EUR"'}, RetryDetails={}),
        marker="m2",
        Marker="m1",
    )
    script.history(ENDED, Marker="m2")
    result = runner.wait_for_result(ARN)
    assert len(result.history) == 4
    assert result.get_step("pay").result == '"4 EUR"'
    assert result.function_name == "order"


def test_it_is_asked_less_and_less_often(lambda_: Scripted, clock: CountingClock) -> None:
    runner, script = lambda_
    for _ in range(6):
        script.execution("RUNNING")
    script.execution("SUCCEEDED", Result="1")
    script.history(STARTED, ENDED)
    assert runner.wait_for_result(ARN).result == "1"
    assert clock.pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_it_is_asked_as_often_as_the_test_says(clock: CountingClock) -> None:
    with scripted(clock, poll_interval=0.05) as (runner, script):
        script.execution("RUNNING")
        script.execution("RUNNING")
        script.execution("SUCCEEDED", Result="1")
        script.history(STARTED, ENDED)
        runner.wait_for_result(ARN)
    assert clock.pauses == [0.05, 0.05]


def test_it_rests_once_an_invocation_has_ended_that_need_not_be_repeated(
    lambda_: Scripted, clock: CountingClock
) -> None:
    runner, script = lambda_
    times = {"StartTimestamp": START, "EndTimestamp": START, "RequestId": "r"}
    died = event(3, "InvocationCompleted", **times, Error={"Payload": {"ErrorType": "Died"}})
    ended = event(4, "InvocationCompleted", **times)
    events = [STARTED, event(2, "WaitStarted", "w", Duration=60, ScheduledEndTimestamp=START)]
    script.invoked()
    for more in ((), (died,), (died, ended)):
        script.execution("RUNNING")
        script.history(*events, *more)
    result = runner.start().run_until_suspended()
    assert [each.outcome for each in result.invocations] == ["ERROR", "PENDING"]
    assert clock.pauses == [0.1, 0.2]


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"])
def test_every_end_is_one(lambda_: Scripted, clock: CountingClock, status: str) -> None:
    runner, script = lambda_
    script.execution(status)
    kind = {"TIMED_OUT": "TimedOut"}.get(status, status.capitalize())
    outcome: dict[str, Any] = {"Result" if status == "SUCCEEDED" else "Error": {}}
    script.history(STARTED, event(2, f"Execution{kind}", "e", **outcome))
    result = runner.wait_for_result(ARN)
    assert result.status is InvocationStatus[status]
    assert result.get_execution().status.value == status
    assert clock.pauses == []


def test_what_the_history_has_cut_is_asked_for_elsewhere(lambda_: Scripted) -> None:
    runner, script = lambda_
    script.execution("SUCCEEDED", InputPayload='"in"', Result='"out"')
    cut = {"Truncated": True}
    script.history(
        event(1, "ExecutionStarted", "e", Input=cut, ExecutionTimeout=60),
        event(2, "ExecutionSucceeded", "e", Result=cut),
    )
    result = runner.wait_for_result(ARN)
    assert (result.input, result.result) == ('"in"', '"out"')
    assert result.get_execution().result == '"out"'


async def test_a_call_does_not_hold_up_the_event_loop(clock: CountingClock) -> None:
    client = lambda_client()
    loop_went_on = threading.Event()

    def answer(request: Any, **_: Any) -> None:
        assert loop_went_on.wait(20)
        raise EndpointConnectionError(endpoint_url="here")

    client.meta.events.register("before-send.lambda.Invoke", answer)
    async with AsyncDurableFunctionCloudTestRunner("order", client=client, clock=clock) as runner:
        asyncio.get_running_loop().call_soon(loop_went_on.set)
        with pytest.raises(LambdaCallFailed, match="Nobody answers"):
            await runner.start()


# -- eventual consistency --------------------------------------------------------------------


def test_an_execution_that_is_not_known_yet(lambda_: Scripted, clock: CountingClock) -> None:
    runner, script = lambda_
    script.invoked()
    for _ in range(3):
        script.refused("get_durable_execution", "ResourceNotFoundException", 404)
    script.execution("SUCCEEDED", Result="1")
    script.refused("get_durable_execution_history", "ResourceNotFoundException", 404)
    script.history(STARTED, ENDED)
    assert runner.run().result == "1"
    assert len(clock.pauses) == 4


def test_an_execution_that_is_never_known(lambda_: Scripted, clock: CountingClock) -> None:
    runner, script = lambda_
    script.invoked()
    for _ in range(34):
        script.refused("get_durable_execution", "ResourceNotFoundException", 404)
    with pytest.raises(ResourceNotFound):
        runner.run(timeout=100)
    assert 29 < sum(clock.pauses) < 32


def test_a_time_out_before_it_is_known(lambda_: Scripted) -> None:
    runner, script = lambda_
    script.invoked()
    script.refused("get_durable_execution", "ResourceNotFoundException", 404)
    with pytest.raises(TimeoutError, match="waits for Lambda to know it"):
        runner.run(timeout=0)


def test_somebody_else_s_execution_is_not_waited_for(
    lambda_: Scripted, clock: CountingClock
) -> None:
    runner, script = lambda_
    script.refused("get_durable_execution", "ResourceNotFoundException", 404)
    with pytest.raises(ResourceNotFound, match=r"^no$"):
        runner.wait_for_result(ARN)
    assert clock.pauses == []


def test_a_history_that_is_behind(lambda_: Scripted, clock: CountingClock) -> None:
    runner, script = lambda_
    script.execution("SUCCEEDED", Result="1")
    script.history()
    script.history(STARTED)
    script.history(STARTED, ENDED)
    assert len(runner.wait_for_result(ARN).history) == 2
    assert len(clock.pauses) == 2


def test_a_history_that_stays_behind(lambda_: Scripted, clock: CountingClock) -> None:
    """The result is there, and says what is missing."""
    runner, script = lambda_
    script.execution("SUCCEEDED", Result="1")
    for _ in range(34):
        script.history(STARTED)
    result = runner.wait_for_result(ARN)
    assert result.result == "1"
    assert "the rest of its history" in result.describe()
    assert sum(clock.pauses) == pytest.approx(30)


# -- callbacks -------------------------------------------------------------------------------


def test_a_callback_that_comes(lambda_: Scripted, clock: CountingClock) -> None:
    runner, script = lambda_
    for events in ((STARTED,), (STARTED, callback(2, "other")), (STARTED, callback(3, "mine"))):
        script.execution("RUNNING")
        script.history(*events)
    assert runner.wait_for_callback(ARN, "mine") == "id-3"
    assert clock.pauses == [0.1, 0.2]


@pytest.mark.parametrize("answer", ["success", "failure"])
def test_a_callback_that_was_answered_here_is_not_given_again(
    lambda_: Scripted, answer: str
) -> None:
    """Neither where the history does not know it yet, nor where it does."""
    runner, script = lambda_
    answered = event(3, "CallbackSucceeded", "c2", Result={})
    script.answered(f"send_durable_execution_callback_{answer}")
    getattr(runner, f"send_callback_{answer}")("id-2")
    one = (STARTED, callback(2, "approval"))
    for events in (one, (*one, answered), (*one, answered, callback(4, "approval"))):
        script.execution("RUNNING")
        script.history(*events)
    assert runner.wait_for_callback(ARN, "approval") == "id-4"


def test_of_two_callbacks_each_is_given_before_one_is_given_twice(lambda_: Scripted) -> None:
    runner, script = lambda_
    for _ in range(3):
        script.execution("RUNNING")
        script.history(STARTED, callback(2, "vote"), callback(3, "vote"))
    assert [runner.wait_for_callback(ARN, "vote") for _ in range(3)] == ["id-2", "id-3", "id-2"]


def test_an_open_callback_goes_before_a_completed_one(lambda_: Scripted) -> None:
    runner, script = lambda_
    late = event(5, "CallbackTimedOut", "c4", Error={"Payload": {"ErrorType": "Callback.Timeout"}})
    script.execution("RUNNING")
    script.history(STARTED, callback(2, "vote"), callback(4, "vote"), late)
    assert runner.wait_for_callback(ARN, "vote") == "id-2"


def test_of_completed_ones_the_last_of_the_name_is_given(lambda_: Scripted) -> None:
    runner, script = lambda_
    ends = (event(n + 4, "CallbackSucceeded", f"c{n}", Result={}) for n in (2, 3))
    script.execution("RUNNING")
    script.history(STARTED, callback(2, "vote"), callback(3, "vote"), *ends)
    assert runner.wait_for_callback(ARN, "vote") == "id-3"


def test_without_a_name_a_completed_callback_is_none(lambda_: Scripted) -> None:
    runner, script = lambda_
    script.execution("SUCCEEDED")
    script.history(
        STARTED, callback(2, "vote"), event(3, "CallbackSucceeded", "c2", Result={}), ENDED
    )
    with pytest.raises(OperationNotFound, match=r"No callback will come.* ended, SUCCEEDED"):
        runner.wait_for_callback(ARN)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((), "its next invocation"),
        (
            (
                event(2, "WaitStarted", "w", Duration=1, ScheduledEndTimestamp=START),
                event(3, "WaitSucceeded", "w", Duration=1),
            ),
            "its next invocation",
        ),
        ((event(2, "StepStarted", "s", name="pay"),), "step 'pay', which has begun"),
        (
            (
                event(
                    2,
                    "StepFailed",
                    "s",
                    name="pay",
                    Error={},
                    RetryDetails={"CurrentAttempt": 1, "NextAttemptDelaySeconds": 60},
                ),
            ),
            "the next attempt of step 'pay' at 2026-01-01 00:01:02 UTC",
        ),
        ((event(2, "ChainedInvokeStarted", "i", FunctionName="f"),), "the chained invoke"),
        (
            (
                event(2, "ContextStarted", "x", name="ask"),
                event(3, "CallbackStarted", "c", parent="x", CallbackId="id-3"),
            ),
            "callback of 'ask', unanswered .callback id id-3.",
        ),
    ],
)
def test_a_time_out_says_what_is_waited_for(
    lambda_: Scripted, events: tuple[dict[str, Any], ...], said: str
) -> None:
    runner, script = lambda_
    script.execution("RUNNING")
    script.history(STARTED, *events)
    with pytest.raises(TimeoutError, match=f"did not end within 0 s; it waits for {said}"):
        runner.wait_for_result(ARN, timeout=timedelta())


# -- asking again ----------------------------------------------------------------------------

PASSING = [
    ("TooManyRequestsException", 429),
    ("ThrottlingException", 400),
    ("ServiceException", 500),
    ("Unknown", 503),
    ("Unknown", 429),
]


@pytest.mark.parametrize(("code", "status"), PASSING)
def test_what_may_pass_is_asked_again(
    lambda_: Scripted, clock: CountingClock, code: str, status: int
) -> None:
    runner, script = lambda_
    for _ in range(ATTEMPTS - 1):
        script.refused("invoke", code, status)
    script.invoked()
    runner.start()
    pauses = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    assert len(clock.pauses) == len(pauses)
    assert all(0 <= each <= most for each, most in zip(clock.pauses, pauses, strict=True))
    # By chance, so that many clients do not come back together.
    assert len(set(clock.pauses)) > 1
    assert clock.pauses != pauses


@pytest.mark.parametrize(
    ("code", "status", "kind", "said"),
    [
        (
            *("TooManyRequestsException", 429, TooManyRequests),
            "GetDurableExecution was throttled 8 times: later",
        ),
        ("ServiceException", 500, ServiceFailure, "later"),
    ],
)
def test_it_is_not_asked_for_ever(
    lambda_: Scripted, code: str, status: int, kind: type[Exception], said: str
) -> None:
    runner, script = lambda_
    for _ in range(ATTEMPTS):
        script.refused("get_durable_execution", code, status, "later")
    with pytest.raises(kind, match=f"^{said}$"):
        runner.wait_for_result(ARN)


# -- what is said ----------------------------------------------------------------------------


def test_no_such_function(lambda_: Scripted, clock: CountingClock) -> None:
    runner, script = lambda_
    script.refused("invoke", "ResourceNotFoundException", 404, "Function not found: arn:x")
    with pytest.raises(ResourceNotFound) as caught:
        runner.start()
    assert sentence(caught) == (
        "There is no function 'order' in eu-west-1 at https://lambda.eu-west-1.amazonaws.com: "
        "Function not found: arn:x"
    )
    assert clock.pauses == []


def test_a_function_that_is_started_and_is_not_durable(lambda_: Scripted) -> None:
    runner, script = lambda_
    script.answered("invoke")
    with pytest.raises(LambdaCallFailed) as caught:
        runner.start()
    assert sentence(caught) == (
        "'order' is not a durable function: Lambda started it, but no execution."
    )


def test_no_permission(lambda_: Scripted, clock: CountingClock) -> None:
    runner, script = lambda_
    script.refused("invoke", "AccessDeniedException", 403, "User: x is not authorized")
    with pytest.raises(LambdaCallFailed) as caught:
        runner.start()
    assert sentence(caught) == (
        "The credentials in use may not call lambda:InvokeFunction on function 'order' in "
        "eu-west-1: AccessDeniedException: User: x is not authorized"
    )
    script.refused("stop_durable_execution", "ExpiredTokenException", 403)
    with pytest.raises(LambdaCallFailed, match="lambda:StopDurableExecution in eu-west-1"):
        runner.stop(ARN)
    assert clock.pauses == []


def test_a_refusal_that_has_no_class_of_its_own(lambda_: Scripted) -> None:
    runner, script = lambda_
    script.refused("invoke", "KMSDisabledException", 400, "the key is off")
    with pytest.raises(LambdaCallFailed, match="refused Invoke: KMSDisabledException: the key is"):
        runner.start()


def test_nothing_was_started_yet(lambda_: Scripted) -> None:
    with pytest.raises(NotStarted, match="start"):
        lambda_[0].wait_for_callback()
