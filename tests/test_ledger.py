"""What handlers record reaches the test, whatever becomes of their process."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from async_durable_execution import (
    RetryStrategy,
    StepSemantics,
    durable_execution,
    invoke,
    map,
    parallel,
    step,
    wait,
    wait_for_callback,
    wait_for_condition,
    with_retry,
)

from async_durable_execution_runner import (
    DurableFunctionTestRunner,
    ledger,
)

pytestmark = pytest.mark.processes


def first_time(mark: str) -> bool:
    """Whether nobody asked before, in whichever process; `mark` is a file that remembers it."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@durable_execution
async def charge_and_die(event: dict[str, Any]) -> str:
    """Charges, and is killed once before the step can say so."""

    async def charge() -> str:
        key = "order-1" if event["stable"] else uuid4().hex
        ledger.record("charge", key=key, amount=7)
        if first_time(event["mark"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return "charged"

    semantics = StepSemantics[event.get("semantics", "AT_LEAST_ONCE_PER_RETRY")]
    return await step(charge, name="pay", step_semantics=semantics)


def run(handler: Any, input: Any = None, **options: Any) -> Any:
    with DurableFunctionTestRunner(handler=handler, **({"workers": 2} | options)) as runner:
        return runner.run(input, timeout=30)


def places(effects: Any) -> list[tuple[str | None, int | None, int]]:
    return [(each.operation_name, each.attempt, each.invocation) for each in effects]


@pytest.mark.parametrize("stable", [True, False])
def test_an_effect_survives_the_death_of_its_process(tmp_path: Path, stable: bool) -> None:
    result = run(charge_and_die, {"mark": str(tmp_path / "mark"), "stable": stable})
    assert result.result == '"charged"'
    assert places(result.ledger) == [("pay", 1, 1), ("pay", 1, 2)]
    first, second = result.ledger
    assert first.data == {"amount": 7}
    assert first.execution_arn == result.execution_arn
    assert first.operation_id == result.get_step("pay").operation_id
    assert first.request_id == result.invocations[0].request_id
    assert result.start_timestamp <= first.timestamp < second.timestamp <= result.end_timestamp
    assert first.invocation_error == result.invocations[0].error
    assert second.invocation_error is None
    assert (first.stale, first.outside_step) == (False, False)

    with pytest.raises(AssertionError) as twice:
        result.ledger.assert_effect_once("charge")
    assert str(twice.value).startswith("effect 'charge' happened 2 times, not once:\n")
    assert "invocation 1 failed: Runtime.ExitError: Runtime exited with error: signal: killed" in (
        str(twice.value)
    )
    assert str(twice.value).split("\n", 1)[1] in result.describe()
    if stable:
        result.ledger.assert_idempotent()
    else:
        with pytest.raises(AssertionError, match="'charge' was repeated with another 'key'"):
            result.ledger.assert_idempotent()
    result.ledger.assert_idempotent(by="amount")


@durable_execution
async def die_always(event: Any) -> None:
    async def charge() -> None:
        ledger.record("charge")
        os._exit(3)

    await step(charge, name="pay")


def test_a_step_that_never_came_to_a_checkpoint_has_its_name() -> None:
    result = run(die_always, invocation_retries=1)
    assert result.operations == []
    assert places(result.ledger) == [("pay", 1, 1), ("pay", 1, 2)]


def test_an_at_most_once_step_has_its_effect_once(tmp_path: Path) -> None:
    """The killed attempt counts as failed, so that the next is another attempt."""
    event = {
        "mark": str(tmp_path / "mark"),
        "stable": True,
        "semantics": "AT_MOST_ONCE_PER_RETRY",
    }
    result = run(charge_and_die, event)
    assert places(result.ledger) == [("pay", 1, 1), ("pay", 2, 3)]


@durable_execution
async def fail_twice(event: Any) -> None:
    tries = iter(range(1, 4))

    async def charge() -> None:
        number = next(tries)
        ledger.record("charge", key="order", number=number)
        if number < 3:
            raise ValueError("declined")

    await step(charge, name="pay", retry_strategy=RetryStrategy(max_attempts=3))


def test_retries_are_attempts() -> None:
    result = run(fail_twice, isolation="inline")
    assert [each.attempt for each in result.ledger] == [1, 2, 3]


@durable_execution
async def everywhere(event: Any) -> None:
    ledger.record("handler")

    async def in_step(name: str) -> None:
        ledger.record(name)

    async def branch(item: str) -> None:
        ledger.record(f"branch {item}")
        await step(lambda: in_step(f"step {item}"), name=f"pay {item}")

    await map(branch, ["a", "b"], name="items", item_namer=lambda item, index: f"item {item}")
    await parallel([lambda: branch("c"), lambda: branch("d")], name="both")
    await with_retry(lambda: in_step("with_retry"), name="again")
    await wait_for_callback(submit, name="approval", retry_strategy=at_once)
    await wait_for_condition(check, name="ready", initial_state=0, polling_strategy=until_2)
    await wait(timedelta(hours=1))


def at_once(error: Exception, attempt: int) -> timedelta | None:
    return timedelta(seconds=1) if attempt < 3 else None


def until_2(state: int, attempt: int) -> timedelta | None:
    return timedelta(hours=1) if state < 2 else None


async def check(state: int | None) -> int:
    ledger.record("check")
    return (state or 0) + 1


async def submit() -> None:
    ledger.record("submit")
    if len(submitted) < 1:
        submitted.append(1)
        raise ValueError("not yet")


submitted: list[int] = []


def test_every_operation_is_named() -> None:
    submitted.clear()
    with DurableFunctionTestRunner(handler=everywhere, isolation="inline") as runner:
        handle = runner.start()
        runner.send_callback_success(runner.wait_for_callback(handle))
        result = handle.result(timeout=30)
    found = result.ledger
    assert {each.name: each.operation_name for each in found} == {
        "handler": None,
        "branch a": "item a",
        "branch b": "item b",
        "branch c": "parallel-branch-0",
        "branch d": "parallel-branch-1",
        "step a": "pay a",
        "step b": "pay b",
        "step c": "pay c",
        "step d": "pay d",
        "with_retry": "again",
        "submit": "approval-submitter",
        "check": "ready",
    }
    in_steps = [each for each in found if not each.outside_step]
    assert {each.name for each in in_steps} == {
        *("step a", "step b", "step c", "step d", "submit", "check")
    }
    assert [each.attempt for each in found.named("check")] == [1, 2]
    assert [each.attempt for each in found.named("submit")] == [1, 2]
    assert {each.attempt for each in found if each.outside_step} == {None}
    ids = {each.operation_id for each in result.get_all_operations()}
    assert {each.operation_id for each in found} <= ids | {None}
    # Each replay comes by here again.
    assert found.count("handler") == len(result.invocations) > 1
    assert "outside a step: every replay repeats it" in result.describe()


# -- chains --------------------------------------------------------------------------------


@durable_execution
async def order(event: dict[str, Any]) -> None:
    async def reserve() -> None:
        ledger.record("reserve", key="order")

    await step(reserve, name="reserve")
    await invoke("payment", event, name="pay")
    await invoke("mail", event, name="tell")
    await step(reserve, name="reserve again")


@durable_execution
async def payment(event: dict[str, Any]) -> None:
    await pay(event)


async def pay(event: dict[str, Any]) -> None:
    async def charge() -> None:
        ledger.record("charge", key="order")
        if first_time(event["mark"]):
            os._exit(3)

    await step(charge, name="card")


def mail(event: Any, context: Any) -> None:
    ledger.record("mail", to="a@b.c")


def test_chained_functions_effects_are_in_the_roots_ledger(tmp_path: Path) -> None:
    event = {"mark": str(tmp_path / "mark")}
    with DurableFunctionTestRunner(handler=order, workers=2) as runner:
        runner.register_durable_function("payment", payment)
        runner.register_function("mail", mail)
        result = runner.run(event, timeout=30)
        (child_arn,) = {each.execution_arn for each in result.ledger.named("charge")}
        child = runner.wait_for_result(child_arn)
    assert result.status.value == "SUCCEEDED", result
    names = [each.name for each in result.ledger]
    assert names == ["reserve", "charge", "charge", "mail", "reserve"]
    assert places(result.ledger.named("charge")) == [("card", 1, 1), ("card", 1, 2)]
    assert child.ledger == result.ledger.named("charge")
    (mailed,) = result.ledger.named("mail")
    assert mailed.execution_arn == result.execution_arn != child_arn
    assert (mailed.function_name, mailed.operation_name, mailed.attempt) == ("mail", "tell", None)
    assert mailed.operation_id == result.get_invoke("tell").operation_id
    assert not mailed.outside_step
    assert mailed.request_id not in {each.request_id for each in result.invocations}
    result.ledger.assert_idempotent()
    result.ledger.assert_effect_once("mail")
    # Another operation's effect under the same key.
    with pytest.raises(AssertionError, match="'reserve' with the key 'order' happened 2 times"):
        result.ledger.assert_effect_once("reserve", key="order")


# -- threads -------------------------------------------------------------------------------


@durable_execution
async def in_threads(event: Any) -> None:
    async def work() -> None:
        await asyncio.to_thread(ledger.record, "to_thread")
        thread = threading.Thread(target=ledger.record, args=("thread",))
        thread.start()
        thread.join()

    await step(work, name="work")


@pytest.mark.parametrize("isolation", ["worker", "inline"])
def test_threads(isolation: str) -> None:
    """A thread that Python gives no context knows its invocation, but no step."""
    found = run(in_threads, isolation=isolation).ledger
    assert places(found) == [("work", 1, 1), (None, None, 1)]
    assert [each.outside_step for each in found] == [False, True]


@durable_execution
async def leave_a_thread(event: dict[str, Any]) -> None:
    """Its thread waits on one named pipe, and says on another that it is done."""

    def late() -> None:
        Path(event["go"]).read_bytes()
        ledger.record("late")
        Path(event["done"]).write_bytes(b"")

    run = contextvars.copy_context().run if event["context"] else lambda function: function()
    threading.Thread(target=run, args=(late,)).start()


@pytest.mark.parametrize("context", [True, False])
def test_what_an_invocation_leaves_behind_is_stale(tmp_path: Path, context: bool) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    os.mkfifo(go)
    os.mkfifo(done)
    event = {"context": context, "go": str(go), "done": str(done)}
    with DurableFunctionTestRunner(handler=leave_a_thread, workers=1) as runner:
        handle = runner.start(event)
        assert len(handle.result().ledger) == 0
        go.write_bytes(b"")
        done.read_bytes()
        (late,) = handle.snapshot().ledger
    assert (late.name, late.stale, late.invocation) == ("late", True, 1)


def test_inline_invocations_keep_their_effects_apart() -> None:
    """All are inside their steps at once; a thread without a context says it cannot tell."""
    barrier = threading.Barrier(2)
    refusals = []

    def plain() -> None:
        try:
            ledger.record("plain")
        except RuntimeError as error:
            refusals.append(str(error))

    @durable_execution
    async def handler(number: int) -> None:
        async def work() -> None:
            barrier.wait(20)
            ledger.record("work", key=number)
            await asyncio.to_thread(ledger.record, "to_thread", key=number)
            thread = threading.Thread(target=plain)
            thread.start()
            thread.join()
            barrier.wait(20)

        await step(work, name="work")

    with DurableFunctionTestRunner(handler=handler, isolation="inline", workers=2) as runner:
        results = runner.run_many(range(2), timeout=30)
    for number, result in enumerate(results):
        assert [(each.name, each.key) for each in result.ledger] == [
            ("work", number),
            ("to_thread", number),
        ]
    assert len(refusals) == 2
    assert "several inline invocations" in refusals[0]


def test_the_test_itself_is_in_no_invocation() -> None:
    inside, done = threading.Event(), threading.Event()

    @durable_execution
    async def handler(event: Any) -> None:
        inside.set()
        done.wait(20)

    with DurableFunctionTestRunner(handler=handler, isolation="inline") as runner:
        handle = runner.start()
        assert inside.wait(20)
        ledger.record("mine")
        done.set()
        assert len(handle.result().ledger) == 0
