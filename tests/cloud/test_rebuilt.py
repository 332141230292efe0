"""Operations rebuilt from a history are those that the coordinator itself has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("async_durable_execution", minversion="2.5.0")

from gateway import handlers

from async_durable_execution_runner import DurableFunctionTestResult, DurableFunctionTestRunner
from async_durable_execution_runner.aws import history as rebuilt
from async_durable_execution_runner.aws.api import BlockingClock, LambdaApi, make_client
from async_durable_execution_runner.client.drive import drive
from async_durable_execution_runner.results.records import InvocationRecord
from async_durable_execution_runner.runner.cloud_engine import execution_record
from examples import (
    batches,
    callbacks,
    completion,
    conditions,
    contexts,
    flows,
    invokes,
    recursion,
    replay_safe,
    scopes,
    steps,
    waits,
)

pytestmark = pytest.mark.processes

ORDER = {"order_id": "o-1", "amount": 1200}
CASES: dict[str, tuple[Any, Any]] = {
    "step": (steps.pay_patiently, {"failures": 0}),
    "step, retried": (steps.pay_patiently, {"failures": 2}),
    "step, failed": (steps.pay_patiently, {"failures": 9}),
    "step, not retried": (steps.pay_or_cancel, {"order_id": "o-1"}),
    "waits": (waits.remind, {"invoice": "i-1"}),
    "waits side by side": (waits.wait_for_the_slower, {"order_id": "o-1"}),
    "condition": (conditions.follow_parcel, {"order_id": "o-1"}),
    "condition, failed": (conditions.await_payment, {"invoice": "i-1"}),
    "contexts": (contexts.prepare_parcel, {"items": ["book", "lamp"]}),
    "contexts, virtual": (contexts.prepare_without_record, {"items": ["book"]}),
    "context, large": (contexts.archive_catalogue, {"pages": 3}),
    "context, failed": (contexts.reserve_or_apologise, {"items": ["book", "lamp"]}),
    "with_retry": (contexts.haggle, {"limit": 40}),
    "map": (batches.ship_all, {"parcels": ["a", "b", "c"], "at_once": 1}),
    "map with failures": (
        batches.ship_what_can_be,
        {"parcels": ["a", "lost-1", "lost-2", "b"], "tolerated": 1},
    ),
    "parallel": (batches.cheapest_courier, {"couriers": {"ann": 1, "bob": 2, "cy": 30}}),
    "map, flat": (batches.ship_flat, {"parcels": ["a", "b"]}),
    "completion": (completion.ask_board, {"board": ["ann", "bob", "cy", "di"]}),
    "flow": (flows.make_offer, {"item": "lamp", "country": "here"}),
    "replay-safe values": (replay_safe.draw_winner, {"customers": ["ann", "bob"]}),
    "recursion": (recursion.load_truck, {"parcels": [3, 1, 4, 1, 5]}),
    "scope": (scopes.ship_or_undo, {"item": "lamp", "amount": 1, "strike": False}),
    "scope, undone": (scopes.ship_or_undo, {"item": "lamp", "amount": 1, "strike": True}),
    "invoke": (invokes.fulfil_order, ORDER),
    "failure": (handlers.refused, {}),
    "race": (callbacks.first_answer, {"offer_minutes": 20, "open_minutes": 10}),
}


@pytest.fixture(scope="module")
def runner() -> Iterator[DurableFunctionTestRunner]:
    with DurableFunctionTestRunner(handler=callbacks.refund, workers=2) as runner:
        for handler, _ in CASES.values():
            runner.register_durable_function(handler.__name__, handler)
        runner.register_durable_function("payments", invokes.take_payment)
        yield runner


@pytest.fixture(scope="module")
def api(runner: DurableFunctionTestRunner) -> LambdaApi:
    return LambdaApi(make_client(None, runner.serve_aws_api()), BlockingClock())


def check(api: LambdaApi, result: DurableFunctionTestResult) -> None:
    local = result._record
    events = rebuilt.read_events(drive(api.history(local.execution_arn)))
    assert events == list(local.events)
    # That a context keeps its children for replay is in no event.
    operations = [replace(each, replay_children=False) for each in local.operations]
    assert rebuilt.operations(events) == operations
    record = execution_record(drive(api.execution(local.execution_arn)), events)
    assert record.operations == operations
    invocations = [
        InvocationRecord(
            each.request_id,
            start_ms=each.start_ms,
            end_ms=each.end_ms,
            outcome=each.outcome,
            error=each.error,
        )
        for each in local.invocations
    ]
    assert record.invocations == invocations
    for name in (
        *("execution_arn", "execution_name", "function_name", "status"),
        *("start_ms", "end_ms", "result", "error"),
    ):
        assert getattr(record, name) == getattr(local, name), name
    assert list(record.children) == list(local.children)


@pytest.mark.parametrize("case", CASES)
def test_an_execution_that_ended(
    runner: DurableFunctionTestRunner, api: LambdaApi, case: str
) -> None:
    handler, input = CASES[case]
    result = runner.run(input, function_name=handler.__name__, timeout=60)
    assert result.operations or case == "failure"
    check(api, result)


def test_an_execution_whose_worker_died(runner: DurableFunctionTestRunner, api: LambdaApi) -> None:
    result = runner.run(
        {"failures": 0}, function_name="pay_patiently", timeout=60, faults="kill@after-commit:1"
    )
    assert [each.outcome for each in result.invocations] == ["ERROR", "SUCCEEDED"]
    check(api, result)


def test_a_callback_in_every_state(runner: DurableFunctionTestRunner, api: LambdaApi) -> None:
    """Open, answered, refused, timed out, left behind by an execution that was stopped."""
    for end in ("success", "failure", "timeout", "stop"):
        handle = runner.start({"amount": 500})
        handle.run_until_suspended(timeout=30)
        check(api, handle.snapshot())
        callback_id = handle.wait_for_callback("approval", timeout=30)
        match end:
            case "success":
                runner.send_callback_success(callback_id, '{"by": "ann"}')
            case "failure":
                runner.send_callback_failure(callback_id)
            case "timeout":
                handle.advance(timedelta(days=4))
            case "stop":
                handle.stop(ValueError("enough"))
        check(api, handle.result(timeout=30))


def test_an_attempt_that_waits(runner: DurableFunctionTestRunner, api: LambdaApi) -> None:
    for name, input in (("pay_patiently", {"failures": 2}), ("follow_parcel", {"order_id": "1"})):
        handle = runner.run_until_suspended(input, function_name=name)
        snapshot = handle.snapshot()
        assert snapshot.operations[0].status.value == "PENDING"
        check(api, snapshot)
