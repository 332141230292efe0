"""Results are views of a record; here the records are made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import async_durable_execution as sdk
import pytest

from async_durable_execution_runner.core.model import (
    ErrorObject,
    EventType,
    ExecutionStatus,
    HistoryEvent,
    Operation,
    OperationStatus,
    OperationType,
    OutputLine,
    OutputStream,
)
from async_durable_execution_runner.errors import NoResult, OperationNotFound
from async_durable_execution_runner.results.records import ExecutionRecord, InvocationRecord
from async_durable_execution_runner.results.result import DurableFunctionTestResult
from async_durable_execution_runner.runner import (
    CallbackOperation,
    ContextOperation,
    InvocationStatus,
    InvokeOperation,
    StepOperation,
    WaitOperation,
)

START = 1_700_000_000_000
HOUR = 3_600_000
DECLINED = ErrorObject("card declined", "CardError", "data", ("line 1\n", "line 2\n"))


def op(id: str, type: OperationType, name: str | None = None, **fields: Any) -> Operation:
    values = {"status": OperationStatus.SUCCEEDED, "start_ms": START, "end_ms": START + 5, **fields}
    return Operation(id=id, type=type, name=name, **values)


EXECUTION = op("e", OperationType.EXECUTION, "order-1", input='{"order_id": "o-1"}')
PRICE = op("s1", OperationType.STEP, "price", result='"4 EUR"', attempt=2, sub_type="Step")
PAUSE = op(
    "w1",
    OperationType.WAIT,
    "pause",
    end_ms=START + HOUR,
    scheduled_end_ms=START + HOUR,
    sub_type="Wait",
)
SHIP = op("c1", OperationType.CONTEXT, "ship", result='"sent"', sub_type="RunInChildContext")
PACK = op("c2", OperationType.CONTEXT, "pack", parent_id="c1", sub_type="my-own-kind")
BOX = op("s2", OperationType.STEP, "box", parent_id="c2", result="1", attempt=1)
LABEL = op("s3", OperationType.STEP, "label", parent_id="c1", result='"a"', attempt=1)
OTHER_LABEL = op("s4", OperationType.STEP, "label", parent_id="c2", result='"b"', attempt=1)
APPROVAL = op("cb", OperationType.CALLBACK, "approval", status=OperationStatus.STARTED, end_ms=None)
PAYMENT = op(
    "i1",
    OperationType.CHAINED_INVOKE,
    "payment",
    status=OperationStatus.FAILED,
    error=DECLINED,
)
RECORD = ExecutionRecord(
    execution_arn="arn:aws:lambda:us-east-1:1:function:order:1/durable-execution/order-1/i",
    execution_name="order-1",
    function_name="order",
    status=ExecutionStatus.SUCCEEDED,
    start_ms=START,
    end_ms=START + HOUR + 250,
    result='{"t":"m","v":{"paid":{"t":"b","v":true}}}',
    operations=(
        EXECUTION,
        PRICE,
        PAUSE,
        SHIP,
        PACK,
        BOX,
        LABEL,
        OTHER_LABEL,
        replace(APPROVAL, callback_id="cb-id"),
        PAYMENT,
    ),
)


@pytest.fixture
def result() -> DurableFunctionTestResult:
    return DurableFunctionTestResult(RECORD)


def status_of(status: ExecutionStatus) -> InvocationStatus:
    return DurableFunctionTestResult(replace(RECORD, status=status)).status


def test_status_is_the_sdk_s_own_member() -> None:
    """`is` must hold whichever of the two enums a test imported."""
    assert status_of(ExecutionStatus.SUCCEEDED) is sdk.InvocationStatus.SUCCEEDED
    assert status_of(ExecutionStatus.FAILED) is sdk.InvocationStatus.FAILED
    assert status_of(ExecutionStatus.RUNNING) is sdk.InvocationStatus.PENDING
    assert status_of(ExecutionStatus.FAILED) is InvocationStatus.FAILED


def test_status_has_words_of_its_own_for_what_the_sdk_cannot_say() -> None:
    assert status_of(ExecutionStatus.TIMED_OUT) is InvocationStatus.TIMED_OUT
    assert status_of(ExecutionStatus.STOPPED) is InvocationStatus.STOPPED
    assert repr(InvocationStatus.TIMED_OUT) == "<InvocationStatus.TIMED_OUT: 'TIMED_OUT'>"


def test_invocation_status_behaves_as_an_enum() -> None:
    names = ["SUCCEEDED", "FAILED", "PENDING", "TIMED_OUT", "STOPPED"]
    assert [member.name for member in InvocationStatus] == names
    assert list(InvocationStatus.__members__) == names
    assert len(InvocationStatus) == 5
    for member in InvocationStatus:
        assert InvocationStatus(member.value) is member
        assert InvocationStatus[member.name] is member
        assert member in InvocationStatus
        assert isinstance(member, InvocationStatus)
    assert "NONSENSE" not in InvocationStatus
    with pytest.raises(ValueError, match="'NONSENSE' is not a valid InvocationStatus"):
        InvocationStatus("NONSENSE")


def test_operations_are_the_top_level_ones_without_the_execution(
    result: DurableFunctionTestResult,
) -> None:
    names = ["price", "pause", "ship", "approval", "payment"]
    assert [operation.name for operation in result.operations] == names
    assert all(not isinstance(each, type(result.get_execution())) for each in result.operations)


def test_all_operations_come_parents_first(result: DurableFunctionTestResult) -> None:
    assert [operation.operation_id for operation in result.get_all_operations()] == [
        *("s1", "w1", "c1", "c2", "s2", "s4", "s3", "cb", "i1")
    ]


def test_each_type_has_its_class_and_details(result: DurableFunctionTestResult) -> None:
    """Both styles: the flat attribute and the SDK's details object."""
    step = result.get_step("price")
    assert isinstance(step, StepOperation)
    assert (step.result, step.attempt) == ('"4 EUR"', 2)
    assert (step.step_details.result, step.step_details.attempt) == ('"4 EUR"', 2)
    assert step.wait_details is None

    wait = result.get_wait("pause")
    end = datetime.fromtimestamp((START + HOUR) / 1000, UTC)
    assert isinstance(wait, WaitOperation)
    assert wait.scheduled_end_timestamp == wait.wait_details.scheduled_end_timestamp == end
    assert wait.duration == timedelta(hours=1)

    context = result.get_context("ship")
    assert isinstance(context, ContextOperation)
    assert context.result == context.context_details.result == '"sent"'

    callback = result.get_callback("approval")
    assert isinstance(callback, CallbackOperation)
    assert callback.callback_id == callback.callback_details.callback_id == "cb-id"
    assert callback.duration is None

    invoke = result.get_invoke("payment")
    assert isinstance(invoke, InvokeOperation)
    assert invoke.error == invoke.chained_invoke_details.error
    assert invoke.result is None

    execution = result.get_execution("order-1")
    assert execution.input_payload == execution.execution_details.input_payload == result.input
    assert [child.name for child in execution.child_operations] == [
        operation.name for operation in result.operations
    ]


def test_enums_and_errors_are_the_sdk_s(result: DurableFunctionTestResult) -> None:
    step, invoke = result.get_step("price"), result.get_invoke("payment")
    assert step.operation_type is sdk.OperationType.STEP
    assert step.status is sdk.OperationStatus.SUCCEEDED
    assert step.sub_type is sdk.OperationSubType.STEP
    assert result.get_context("pack").sub_type == "my-own-kind"
    assert invoke.error == sdk.ErrorObject(
        message="card declined", type="CardError", data="data", stack_trace=["line 1\n", "line 2\n"]
    )


def test_a_name_is_found_at_any_depth(result: DurableFunctionTestResult) -> None:
    assert result.get_step("box").operation_id == "s2"
    assert result.get_context("ship").get_context("pack").get_step("box").operation_id == "s2"
    assert result.get_operation_by_name("box").operation_id == "s2"
    assert result.get_operation_by_id("s2").name == "box"


def test_a_nearer_operation_hides_a_deeper_one_of_its_name(
    result: DurableFunctionTestResult,
) -> None:
    assert result.get_context("ship").get_step("label").operation_id == "s3"


def test_an_ambiguous_name_is_an_error_with_the_places(result: DurableFunctionTestResult) -> None:
    with pytest.raises(OperationNotFound, match="2 steps named 'label'") as error:
        result.get_step("label")
    assert "ship / pack / label (s4, SUCCEEDED), ship / label (s3, SUCCEEDED)" in str(error.value)


def test_a_missing_name_is_an_error_with_the_names_that_are_there(
    result: DurableFunctionTestResult,
) -> None:
    with pytest.raises(OperationNotFound) as error:
        result.get_step("pricee")
    assert str(error.value) == (
        "No step named 'pricee' in execution 'order-1'. "
        "It has: price, ship / pack / box, ship / pack / label, ship / label."
    )
    with pytest.raises(LookupError, match="It has no waits at all"):
        result.get_context("ship").get_wait("any")


def test_a_name_of_another_type_is_an_error_that_says_so(
    result: DurableFunctionTestResult,
) -> None:
    with pytest.raises(OperationNotFound, match=r"price is a step; use get_step\('price'\)"):
        result.get_wait("price")


@pytest.mark.parametrize(
    "find",
    [
        lambda result: result.get_operation_by_id("nonsense"),
        lambda result: result.get_operation_by_name("nonsense"),
        lambda result: result.get_execution("nonsense"),
    ],
)
def test_what_is_not_there_is_an_error(result: DurableFunctionTestResult, find: Any) -> None:
    with pytest.raises(OperationNotFound, match="nonsense"):
        find(result)


def test_children_of_an_operation(result: DurableFunctionTestResult) -> None:
    ship = result.get_context("ship")
    assert [child.name for child in ship.child_operations] == ["pack", "label"]
    assert result.get_child_operations(ship) == ship.child_operations
    assert result.get_child_operations(result.get_step("price")) == []


def test_an_operation_below_the_execution_operation_is_top_level() -> None:
    record = replace(RECORD, operations=(EXECUTION, replace(PRICE, parent_id="e")))
    assert [each.name for each in DurableFunctionTestResult(record).operations] == ["price"]


def test_deserialized_results(result: DurableFunctionTestResult) -> None:
    assert result.get_deserialized_result() == {"paid": True}
    assert result.get_operation_deserialized_result(result.get_step("price")) == "4 EUR"
    assert result.get_operation_deserialized_result(result.get_wait("pause")) is None


def test_json_that_the_default_serializer_did_not_write_is_read_as_json() -> None:
    record = replace(RECORD, result='["1 2", {"a": 1}]')
    assert DurableFunctionTestResult(record).get_deserialized_result() == ["1 2", {"a": 1}]


class Shouting(sdk.SerDes[str]):
    """A serializer of a user's own, with the two methods that the SDK asks for."""

    async def serialize(self, value: str) -> str:
        return value.upper()

    async def deserialize(self, data: str) -> str:
        return data.lower()


async def test_a_serializer_of_one_s_own_works_inside_an_event_loop() -> None:
    record = replace(RECORD, result="LOUD")
    assert DurableFunctionTestResult(record).get_deserialized_result(Shouting()) == "loud"


def test_times_are_aware_and_exact(result: DurableFunctionTestResult) -> None:
    assert result.start_timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert result.duration == timedelta(hours=1, milliseconds=250)


def test_an_unfinished_execution_has_no_end() -> None:
    record = replace(
        RECORD, status=ExecutionStatus.RUNNING, end_ms=None, waiting_for="callback 'approval'"
    )
    unfinished = DurableFunctionTestResult(record)
    assert unfinished.end_timestamp is None
    assert unfinished.duration is None
    assert "waiting for callback 'approval'" in repr(unfinished)


LINES = (
    OutputLine(OutputStream.STDOUT, "printed"),
    OutputLine(OutputStream.LOG, "logged", "shop.orders", 30, START),
    OutputLine(OutputStream.STDERR, "complained"),
    OutputLine(OutputStream.RAW, "from C"),
)
INVOCATION = InvocationRecord(
    request_id="5f3c9a10-aaaa",
    worker_id="w-1",
    pid=77,
    start_ms=START,
    end_ms=START + 12,
    outcome="ERROR",
    error=ErrorObject("RequestId: 5f3c9a10-aaaa Error: exit code 3", "Runtime.ExitError"),
    output=LINES,
)


def test_invocations_with_what_they_printed_and_logged() -> None:
    running = InvocationRecord("6", "w-2", 78, START + 20)
    result = DurableFunctionTestResult(replace(RECORD, invocations=(INVOCATION, running)))
    first, second = result.invocations
    assert (first.request_id, first.worker_id, first.pid) == ("5f3c9a10-aaaa", "w-1", 77)
    assert (first.outcome, first.error.type) == ("ERROR", "Runtime.ExitError")
    assert first.duration == timedelta(milliseconds=12)
    assert first.stdout == "printed\n"
    assert first.stderr == "complained\nfrom C\n"
    assert first.output == result.output == "printed\nlogged\ncomplained\nfrom C\n"
    (log,) = first.logs
    assert (log.logger, log.level, log.message) == ("shop.orders", 30, "logged")
    assert (second.outcome, second.end, second.duration) == ("", None, None)


def test_history_names_the_fields_as_the_event_s_type_means_them() -> None:
    events = (
        HistoryEvent(1, EventType.EXECUTION_STARTED, START, payload="{}", duration_seconds=60),
        HistoryEvent(
            2,
            EventType.STEP_FAILED,
            START + 1,
            id="s1",
            name="price",
            sub_type="Step",
            error=DECLINED,
            attempt=1,
            next_attempt_delay_seconds=2,
        ),
        HistoryEvent(3, EventType.WAIT_STARTED, START, duration_seconds=9, scheduled_end_ms=START),
        HistoryEvent(4, EventType.STEP_SUCCEEDED, START, id="s1", payload='"4 EUR"', attempt=2),
    )
    history = DurableFunctionTestResult(replace(RECORD, events=events)).history
    assert [event.event_id for event in history] == [1, 2, 3, 4]
    started, failed, waiting, succeeded = history
    assert started.event_type == "ExecutionStarted"
    assert started.details == {"input": "{}", "execution_timeout": 60}
    assert (failed.id, failed.operation_id, failed.name) == ("s1", "s1", "price")
    assert failed.timestamp == failed.event_timestamp == started.timestamp + timedelta(0, 0, 1000)
    assert failed.details["error"].message == "card declined"
    assert failed.details["attempt"] == 1
    assert failed.details["next_attempt_delay_seconds"] == 2
    assert waiting.details["duration"] == 9
    assert succeeded.details == {"result": '"4 EUR"', "attempt": 2}


def test_repr_is_one_line_that_says_what_matters(result: DurableFunctionTestResult) -> None:
    failed = DurableFunctionTestResult(
        replace(RECORD, status=ExecutionStatus.FAILED, result=None, error=DECLINED)
    )
    assert repr(failed) == (
        "<DurableFunctionTestResult FAILED 'order-1', 9 operations, 0 invocations, "
        "error=CardError: card declined>"
    )
    assert "\n" not in repr(result)
    assert repr(result.get_step("price")) == ("<StepOperation 'price' SUCCEEDED result=\"4 EUR\">")


def test_description() -> None:
    """The whole of it, as a person reads it when an assertion has failed."""
    retried = op(
        "s9",
        OperationType.STEP,
        "retry me",
        status=OperationStatus.PENDING,
        end_ms=None,
        attempt=1,
        next_attempt_ms=START + 90_000,
    )
    record = replace(
        RECORD,
        status=ExecutionStatus.FAILED,
        result=None,
        error=DECLINED,
        operations=(*RECORD.operations, retried),
        invocations=(
            INVOCATION,
            replace(INVOCATION, request_id="77", outcome="FAILED", error=None, output=()),
        ),
    )
    text = DurableFunctionTestResult(record).describe()
    assert str(DurableFunctionTestResult(record)) == text
    assert (
        text
        == """\
order · FAILED · 1 h · 2 invocations
execution    arn:aws:lambda:us-east-1:1:function:order:1/durable-execution/order-1/i
input        {"order_id": "o-1"}
error        CardError: card declined
             line 1
             line 2

operations            status     attempts  took
├─ step price         SUCCEEDED  2         5 ms  "4 EUR"
├─ wait pause         SUCCEEDED            1 h
├─ context ship       SUCCEEDED            5 ms  "sent"
│  ├─ context pack    SUCCEEDED            5 ms
│  │  ├─ step box     SUCCEEDED  1         5 ms  1
│  │  └─ step label   SUCCEEDED  1         5 ms  "b"
│  └─ step label      SUCCEEDED  1         5 ms  "a"
├─ callback approval  STARTED                    callback id cb-id
├─ invoke payment     FAILED               5 ms  CardError: card declined
└─ step retry me      PENDING    1               next attempt at 2023-11-14 22:14:50

invocations    outcome  took   worker
  1  5f3c9a10  ERROR    12 ms  w-1 (pid 77)  Runtime.ExitError: exit code 3
     | printed
     | logged
     | complained
     | from C
  2  77        FAILED   12 ms  w-1 (pid 77)"""
    )


def test_what_a_handler_hangs_in_is_described() -> None:
    dump = "\n".join(f"line {number}" for number in range(20))
    hung = replace(INVOCATION, output=(), stacks=("before", dump), verdict="stuck: in line 0")
    result = DurableFunctionTestResult(replace(RECORD, invocations=(hung,)))
    (invocation,) = result.invocations
    assert (invocation.stacks, invocation.verdict) == (("before", dump), "stuck: in line 0")
    assert result.describe().splitlines()[-14:] == [
        "     stuck: in line 0",
        *(f"       line {number}" for number in range(12)),
        "       … 8 more lines",
    ]


def test_the_description_of_a_very_long_execution_is_not_very_long() -> None:
    record = replace(
        RECORD,
        operations=[op(str(i), OperationType.STEP, f"step-{i}") for i in range(10_000)],
        invocations=[replace(INVOCATION, output=()) for _ in range(300)],
    )
    lines = DurableFunctionTestResult(record).describe().splitlines()
    assert len(lines) < 120
    assert "├─ … 9950 more" in lines
    assert "     … 250 more" in lines
    assert "└─ step step-9999" in lines[-54]


# -- values as they were written ----------------------------------------------------------

WIRE = '{"t":"m","v":{"paid":{"t":"b","v":true}}}'
PRICED = op("s1", OperationType.STEP, "price", result='{"t":"d","v":"4.50"}', attempt=1)


def test_values_are_shown_as_they_were_written(result: DurableFunctionTestResult) -> None:
    assert result.result == WIRE
    step = DurableFunctionTestResult(replace(RECORD, operations=(PRICED,))).get_step("price")
    step_text = DurableFunctionTestResult(replace(RECORD, operations=(PRICED,))).describe()
    event = HistoryEvent(7, EventType.STEP_SUCCEEDED, START, id="s1", name="price", payload=WIRE)
    (shown,) = DurableFunctionTestResult(replace(RECORD, events=(event,))).history
    assert 'result={"paid": true}' in repr(result)
    assert 'result       {"paid": true}\n' in step_text
    assert "Decimal('4.50')" in step_text
    assert repr(step) == "<StepOperation 'price' SUCCEEDED result=Decimal('4.50')>"
    assert repr(shown) == """<Event 7 StepSucceeded, 'price', result={"paid": true}>"""
    assert shown.details["result"] == WIRE


def test_what_only_looks_like_the_sdk_s_format_is_shown_as_it_is() -> None:
    text = '{"t":"m","of":"tea"}'
    record = replace(RECORD, result=text)
    assert f"result       {text}\n" in DurableFunctionTestResult(record).describe()


def test_every_operation_has_its_result_as_data(result: DurableFunctionTestResult) -> None:
    assert result.get_step("price").deserialized_result == "4 EUR"
    assert result.get_context("ship").deserialized_result == "sent"
    assert result.get_wait("pause").deserialized_result is None
    assert result.get_invoke("payment").deserialized_result is None
    record = replace(RECORD, operations=(PRICED,))
    operation = DurableFunctionTestResult(record).get_step("price")
    assert operation.deserialized_result == Decimal("4.50")


@pytest.mark.parametrize("status", [each for each in ExecutionStatus if each.name != "SUCCEEDED"])
def test_an_execution_without_a_result_says_how_it_went(status: ExecutionStatus) -> None:
    failed = DurableFunctionTestResult(replace(RECORD, status=status, result=None, error=DECLINED))
    with pytest.raises(NoResult) as raised:
        failed.get_deserialized_result()
    text = str(raised.value)
    assert text.startswith(f"The execution has no result, it is {failed.status.value}.\n\n")
    assert text.endswith(failed.describe())


def test_two_of_one_name_are_listed() -> None:
    """Which of the two is meant nobody can say, though both are where they are looked for."""
    twice = (PRICE, replace(PRICE, id="s9", status=OperationStatus.FAILED))
    scope = DurableFunctionTestResult(replace(RECORD, operations=twice))
    with pytest.raises(OperationNotFound) as raised:
        scope.get_step("price")
    assert str(raised.value) == (
        "2 steps named 'price' in execution 'order-1': price (s1, SUCCEEDED), price (s9, FAILED). "
        "Ask the context that holds the one you mean, or use get_operation_by_id()."
    )
