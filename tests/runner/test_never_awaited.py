"""Operations whose tasks a handler throws away, and their like that it awaits in some way."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import gc
import inspect
from datetime import timedelta
from typing import Any

import pytest
from async_durable_execution import (
    CompletionConfig,
    create_callback,
    durable_execution,
    invoke,
    map,
    parallel,
    run_in_child_context,
    step,
    wait,
    wait_for_callback,
    wait_for_condition,
)

from async_durable_execution_runner import (
    DivergenceKind,
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
    InvocationStatus,
    NonDeterministicWarning,
)

HOUR = timedelta(hours=1)
#: The SDK leaves tasks to the garbage collector, with exceptions that nobody takes.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def run(handler: Any, isolation: str = "inline") -> DurableFunctionTestResult:
    with DurableFunctionTestRunner(handler, workers=1, isolation=isolation) as runner:
        return runner.run(timeout=30)


async def one() -> int:
    return 1


async def two() -> int:
    return 2


async def submit(callback_id: str) -> None:
    pass


async def checks(state: Any) -> bool:
    return False


@durable_execution
async def awaits_nothing(event: dict) -> None:
    step(one, name="thrown away")
    wait(HOUR, name="pause")
    invoke("payments", {}, name="payment")
    create_callback(name="answer")
    wait_for_callback(submit, name="approval")
    wait_for_condition(checks, name="parcel")
    run_in_child_context(one, name="box")
    parallel([one], name="both")
    map(checks, [1], name="all")
    kept = step(two, name="kept")  # noqa: F841


@durable_execution
async def keeps_what_it_never_awaits(event: dict) -> None:
    tasks = []
    asyncio.gather(step(one, name="gathered"), step(two, name="too"))
    asyncio.gather(*[step(one, name="starred")])
    asyncio.ensure_future(step(one, name="ensured"))  # noqa: RUF006
    asyncio.shield(asyncio.ensure_future(wait(HOUR, name="shielded")))
    tasks.append(step(one, name="listed"))
    pair = [step(one, name="first"), step(two, name="second")]  # noqa: F841
    await step(two)


@durable_execution
async def awaits_all_but_one(event: dict) -> int:
    async def inside() -> None:
        step(one, name="charge")
        await step(two)

    await run_in_child_context(inside, name="box")
    await wait(HOUR)
    return 3


@pytest.mark.parametrize(
    "isolation", ["inline", pytest.param("worker", marks=pytest.mark.processes)]
)
def test_every_operation_that_is_never_awaited_is_found(isolation: str) -> None:
    with pytest.warns(NonDeterministicWarning) as warned:
        result = run(awaits_nothing, isolation)

    assert result.status is InvocationStatus.SUCCEEDED
    assert {each.kind for each in result.divergences} == {DivergenceKind.NEVER_AWAITED}
    names = ["thrown away", "pause", "payment", "answer", "approval"]
    names += ["parcel", "box", "both", "all", "kept"]
    assert [each.recorded.name for each in result.divergences] == names
    line = inspect.unwrap(awaits_nothing).__code__.co_firstlineno + 2
    for text in str(warned[0].message), result.describe():
        assert "invocation 1): is `await` missing?\n  asked for: Step 'thrown away', " in text
        assert f"test_never_awaited.py:{line} in awaits_nothing\n" in text


def test_what_is_only_gathered_or_kept_is_found() -> None:
    with pytest.warns(NonDeterministicWarning, match="is `await` missing"):
        result = run(keeps_what_it_never_awaits)

    assert {each.kind for each in result.divergences} == {DivergenceKind.NEVER_AWAITED}
    names = ["gathered", "too", "starred", "ensured", "shielded", "listed", "first", "second"]
    assert [each.recorded.name for each in result.divergences] == names


def test_it_is_found_where_it_was_recorded_all_the_same() -> None:
    with pytest.warns(NonDeterministicWarning):
        result = run(awaits_all_but_one)

    assert result.get_step("charge").result == "1"
    (found,) = result.divergences
    assert found.kind is DivergenceKind.NEVER_AWAITED
    assert (found.recorded.name, found.recorded.parent_name) == ("charge", "box")


@durable_execution
async def returns_tasks(event: dict) -> dict:
    begun = step(one, name="begun")
    awaited = step(two, name="awaited")
    await awaited
    both = asyncio.gather(step(one, name="gathered"), wait(HOUR, name="pause"))
    return {"begun": begun, "deep": [(step(two, name="deep"),), both], "no": [event, begun]}


@durable_execution
async def returns_one(event: dict) -> Any:
    return step(one, name="charge")


@durable_execution
async def returns_what_is_no_json(event: dict) -> Any:
    await step(one)
    own: list[Any] = [asyncio.ensure_future(asyncio.sleep(0)), one(), object()]
    own.append(own)
    return own


def test_what_the_handler_returns_in_place_of_its_result_is_found() -> None:
    with pytest.warns(NonDeterministicWarning, match="is `await` missing"):
        result = run(returns_tasks)

    assert result.status is InvocationStatus.FAILED
    assert {each.kind for each in result.divergences} == {DivergenceKind.NEVER_AWAITED}
    names = ["begun", "deep", "gathered", "pause"]
    assert [each.recorded.name for each in result.divergences] == names


def test_the_line_of_a_returned_task_is_described() -> None:
    with pytest.warns(NonDeterministicWarning):
        result = run(returns_one)

    line = inspect.unwrap(returns_one).__code__.co_firstlineno + 2
    told = result.describe().partition("is `await` missing?\n")[2]
    assert told.startswith("  asked for: Step 'charge', ")
    assert told.endswith(f"test_never_awaited.py:{line} in returns_one")


@pytest.mark.filterwarnings("ignore:coroutine 'one' was never awaited")
def test_other_values_that_are_no_json_are_not() -> None:
    result = run(returns_what_is_no_json)

    assert result.status is InvocationStatus.FAILED
    assert result.divergences == []


kept_elsewhere: list[Any] = []


def await_all(tasks: list[Any]) -> None:
    kept_elsewhere.extend(tasks)


async def adds_to(tasks: list[Any]) -> None:
    if not tasks:
        tasks = []
    tasks.append(step(one))


async def gather(*awaitables: Any) -> None:
    for each in awaitables:
        await each


@durable_execution
async def awaited_in_other_ways(event: dict) -> None:
    async def given_back() -> int:
        return await step(one)

    tasks: list[Any] = []
    tasks.extend(builtins.map(step, [one, two]))
    tasks.append(step(one))
    by_name = {"two": step(two)}
    both = asyncio.gather(step(one), step(two))
    results = [await step(one), await step(two)]  # noqa: F841
    asyncio.ensure_future(step(one)).add_done_callback(tasks.append)
    shared = kept_elsewhere
    shared.append(step(one))
    pair = [step(one), step(two)]
    more = []
    more.append(step(one))
    await_all(more)
    await both
    await asyncio.gather(*pair, *[step(one)], asyncio.shield(step(two)))
    await gather(step(one))
    cancelled = step(asyncio.Event().wait)
    cancelled.cancel()
    early = CompletionConfig.first_successful()
    await parallel([one, asyncio.Event().wait], completion_config=early)
    await adds_to(kept_elsewhere)
    first, *_ = step(one), step(two)
    late = step(one)
    await wait(HOUR)
    await asyncio.gather(*tasks, *by_name.values(), given_back())
    await asyncio.wait([first, late], return_when=asyncio.FIRST_COMPLETED)
    for soonest in asyncio.as_completed([wait(HOUR), wait(2 * HOUR)]):
        await soonest
        break
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(step(asyncio.Event().wait), timeout=0.01)
    async with asyncio.timeout(10):
        await step(one)


def test_what_is_awaited_in_another_way_is_not() -> None:
    result = run(awaited_in_other_ways)

    assert result.status is InvocationStatus.SUCCEEDED
    assert result.divergences == []


@durable_execution
async def leaves_a_suspended_task(event: Any) -> int:
    """The invocation ends while the other operation is not awaited yet."""
    later = wait(2 * HOUR)
    await wait(HOUR)
    await later
    return 1


def test_a_task_that_is_suspended_is_not_reported_as_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        assert run(leaves_a_suspended_task).result == "1"
    gc.collect()
    assert [each for each in caplog.messages if "never retrieved" in each] == []
