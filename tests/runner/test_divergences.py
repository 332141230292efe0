"""Handlers that ask for other operations on a replay, and their like that do not."""

from __future__ import annotations

import asyncio
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from async_durable_execution import (
    CompletionConfig,
    NestingType,
    create_callback,
    durable_execution,
    parallel,
    run_in_child_context,
    step,
    wait,
)

from async_durable_execution_runner import (
    AsyncDurableFunctionTestRunner,
    DivergenceKind,
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
    InvocationStatus,
    NonDeterministicHandler,
    NonDeterministicWarning,
    RunnerError,
)
from examples import batches, callbacks, conditions, contexts, orders

from .dying import dying

CATEGORY = "async_durable_execution_runner.NonDeterministicWarning"
#: Elsewhere a warning is an error.
diverges = pytest.mark.filterwarnings(f"ignore::{CATEGORY}")

HOUR = timedelta(hours=1)
RunnerFor = Callable[..., DurableFunctionTestRunner]


@pytest.fixture(
    params=[
        pytest.param("worker", marks=pytest.mark.processes),
        # No process remembers the invocation before.
        pytest.param("invocation", marks=pytest.mark.processes),
        "inline",
    ]
)
def runner_for(request: pytest.FixtureRequest) -> Iterator[RunnerFor]:
    with ExitStack() as stack:

        def open_runner(handler: Any) -> DurableFunctionTestRunner:
            runner = DurableFunctionTestRunner(handler, workers=1, isolation=request.param)
            return stack.enter_context(runner)

        yield open_runner


async def is_first(event: dict) -> bool:
    """Whether nobody asked before; the mistake is not to ask in a step."""

    async def look() -> bool:
        marker = Path(event["marker"])
        first = not marker.exists()
        marker.touch()
        return first

    return await step(look, name="look") if event["fixed"] else await look()


async def one() -> int:
    return 1


async def two() -> int:
    return 2


# -- what is found -----------------------------------------------------------------------


@durable_execution
async def other_type(event: dict) -> None:
    if await is_first(event):
        await step(one, name="x")
    else:
        await wait(HOUR, name="x")
    await wait(HOUR)


@durable_execution
async def other_name(event: dict) -> None:
    await step(one, name="first" if await is_first(event) else "again")
    await wait(HOUR)


@durable_execution
async def other_parent(event: dict) -> None:
    async def inside() -> int:
        return await step(one, name="x")

    await run_in_child_context(inside, name="box", is_virtual=await is_first(event))
    await wait(HOUR)


@durable_execution
async def other_order(event: dict) -> None:
    names = ["x", "y"] if await is_first(event) else ["y", "x"]
    for name in names:
        await step(one, name=name)
    await wait(HOUR)


@durable_execution
async def swapped_without_names(event: dict) -> list[int]:
    async def ask_one() -> int:
        return await step(lambda: one())

    async def ask_two() -> int:
        return await step(lambda: two())

    asks = [ask_one, ask_two] if await is_first(event) else [ask_two, ask_one]
    results = [await ask() for ask in asks]
    await wait(HOUR)
    return results


@durable_execution
async def other_line(event: dict) -> None:
    if await is_first(event):
        await step(one)
    else:
        await step(one)
    await wait(HOUR)


@durable_execution
async def other_line_on_the_second_page(event: dict) -> None:
    first = await is_first(event)
    await asyncio.gather(*(step(one) for _ in range(1100)))
    if first:
        await step(one)
    else:
        await step(one)
    await wait(HOUR)


@durable_execution
async def left_over(event: dict) -> None:
    pause = wait(HOUR)
    if await is_first(event):
        await step(one, name="x")
    await pause


@durable_execution
async def left_over_in_a_context(event: dict) -> None:
    async def inside() -> None:
        pause = wait(HOUR)
        if await is_first(event):
            await step(one, name="x")
        await pause

    await run_in_child_context(inside, name="box")


@durable_execution
async def moved_into_a_context(event: dict) -> None:
    first = await is_first(event)

    async def ask() -> int:
        return await step(one, name="x")

    async def inside() -> None:
        pause = wait(HOUR)
        if not first:
            await ask()
        await pause

    box = run_in_child_context(inside, name="box")
    if first:
        await ask()
    await box


@durable_execution
async def other_name_each_time(event: dict) -> None:
    await step(one, name="first" if await is_first(event) else "again")
    await wait(HOUR)
    await wait(HOUR)


TYPE, NAME = DivergenceKind.TYPE, DivergenceKind.NAME
PARENT, ORDER = DivergenceKind.PARENT, DivergenceKind.ORDER
SOURCE, LEFT_OVER = DivergenceKind.SOURCE, DivergenceKind.LEFT_OVER

WRONG = [
    (other_type, [TYPE]),
    (other_name, [NAME]),
    (other_parent, [PARENT]),
    (other_order, [ORDER, ORDER]),
    (swapped_without_names, [ORDER, ORDER]),
    (other_line, [SOURCE]),
    (other_line_on_the_second_page, [SOURCE]),
    (left_over, [LEFT_OVER]),
    (left_over_in_a_context, [LEFT_OVER]),
    (moved_into_a_context, [PARENT]),
]
each_wrong = pytest.mark.parametrize(
    ("handler", "kinds"), WRONG, ids=[handler.__name__ for handler, _ in WRONG]
)


def run(runner: DurableFunctionTestRunner, path: Path, fixed: bool) -> DurableFunctionTestResult:
    return runner.run(input={"marker": str(path / "marker"), "fixed": fixed}, timeout=30)


@diverges
@each_wrong
def test_divergence_is_found(runner_for, tmp_path, handler, kinds) -> None:
    result = run(runner_for(handler), tmp_path, fixed=False)

    assert [each.kind for each in result.divergences] == kinds
    for each in result.divergences:
        assert each.invocation == 2
        recorded = result.get_operation_by_id(each.operation_id)
        assert recorded.operation_type.value == each.recorded.type
        assert recorded.name == each.recorded.name
        assert recorded.parent_id == each.recorded.parent_id


@each_wrong
def test_its_fixed_form_has_none(runner_for, tmp_path, handler, kinds) -> None:
    result = run(runner_for(handler), tmp_path, fixed=True)

    assert result.status is InvocationStatus.SUCCEEDED
    assert len(result.invocations) == 2
    assert result.divergences == []


@durable_execution
async def by_chance(event: dict) -> None:
    await step(one, name=f"item-{random.random()}")
    await wait(HOUR)
    await wait(HOUR)


@diverges
def test_every_replay_by_chance(runner_for) -> None:
    result = runner_for(by_chance).run(timeout=30)

    assert [(each.kind, each.invocation) for each in result.divergences] == [(NAME, 2), (NAME, 3)]


@diverges
def test_what_every_replay_does_is_told_once(runner_for, tmp_path) -> None:
    result = run(runner_for(other_name_each_time), tmp_path, fixed=False)

    assert [(each.kind, each.invocation) for each in result.divergences] == [(NAME, 2)]
    assert len(result.invocations) == 3


def line_of(handler: Any, text: str, nth: int = 0) -> str:
    code = handler.__wrapped__.__code__
    lines = Path(__file__).read_text().splitlines()[code.co_firstlineno :]
    found = [number for number, line in enumerate(lines, 1) if text in line]
    path = Path(__file__)
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{path}:{code.co_firstlineno + found[nth]} in {handler.__name__}"


@diverges
def test_both_sides_are_shown(runner_for, tmp_path) -> None:
    result = run(runner_for(other_line), tmp_path, fixed=False)

    (found,) = result.divergences
    recorded, replayed = (line_of(other_line, "await step(one)", nth) for nth in (0, 1))
    assert (found.recorded.source, found.replayed.source) == (recorded, replayed)
    text = result.describe()
    assert "not deterministic\nanother line (operation " in text
    assert f"  recorded: Step 'one', {recorded}\n" in text
    assert f"  replayed: Step 'one', {replayed}" in text


def test_a_result_without_any_does_not_speak_of_it(runner_for, tmp_path) -> None:
    assert "deterministic" not in run(runner_for(other_line), tmp_path, fixed=True).describe()


# -- the warning -------------------------------------------------------------------------


def warned(caught: list[warnings.WarningMessage]) -> list[str]:
    return [each.filename for each in caught if each.category is NonDeterministicWarning]


def test_run_warns_at_the_line_of_the_test(tmp_path) -> None:
    with DurableFunctionTestRunner(other_name, isolation="inline") as runner:
        with pytest.warns(NonDeterministicWarning, match="other_name is not det") as caught:
            result = run(runner, tmp_path, fixed=False)
        assert str(result.divergences[0]) in str(caught[0].message)
        assert warned(list(caught)) == [__file__]
        (tmp_path / "marker").unlink()
        event = {"marker": str(tmp_path / "marker"), "fixed": False}
        with pytest.warns(NonDeterministicWarning) as caught:
            runner.start(input=event).result(timeout=30)
        assert warned(list(caught)) == [__file__]
        (tmp_path / "marker").unlink()
        with pytest.warns(NonDeterministicWarning) as caught:
            runner.run_many([event], timeout=30)
        assert warned(list(caught)) == [__file__]


async def test_run_warns_at_the_awaiting_line(tmp_path) -> None:
    event = {"marker": str(tmp_path / "marker"), "fixed": False}
    async with AsyncDurableFunctionTestRunner(other_name, isolation="inline") as runner:
        with pytest.warns(NonDeterministicWarning) as caught:
            await runner.run(input=event, timeout=30)
    assert warned(list(caught)) == [__file__]


def test_the_error_is_an_assertion_of_the_runner() -> None:
    assert issubclass(NonDeterministicHandler, AssertionError)
    assert issubclass(NonDeterministicHandler, RunnerError)


# -- what is not ------------------------------------------------------------------------


@durable_execution
async def overtaken(event: dict) -> None:
    """The last replay is answered at once, and ends before the task has asked for all again."""
    finished = asyncio.Event()

    async def many() -> None:
        for _ in range(10):
            await step(one)
        finished.set()

    async def as_long_as_that() -> None:
        await finished.wait()

    pause = wait(HOUR)
    work = step(as_long_as_that)
    task = asyncio.create_task(many())
    await work
    await pause
    task.cancel()


@durable_execution
async def overtaken_in_contexts(event: dict) -> str:
    async def many() -> None:
        for _ in range(5):
            await wait(HOUR)

    async def few() -> str:
        await wait(4.5 * HOUR)
        return "few"

    done, _ = await asyncio.wait(
        [run_in_child_context(each, name=each.__name__) for each in (many, few)],
        return_when=asyncio.FIRST_COMPLETED,
    )
    return next(iter(done)).result()


async def first_of_two(nesting_type: NestingType) -> int:
    async def many() -> None:
        for _ in range(5):
            await wait(HOUR)

    async def few() -> None:
        await wait(4.5 * HOUR)

    async def both() -> int:
        config = CompletionConfig.first_successful()
        batch = await parallel([few, many], completion_config=config, nesting_type=nesting_type)
        return batch.success_count

    return await run_in_child_context(both, name="both")


@durable_execution
async def enough(event: dict) -> int:
    return await first_of_two(NestingType.NESTED)


@durable_execution
async def enough_of_flat(event: dict) -> int:
    return await first_of_two(NestingType.FLAT)


@durable_execution
async def asked_here_awaited_there(event: dict) -> list[Any]:
    pauses = [wait(HOUR * n) for n in range(3, 0, -1)]
    callback = await create_callback(name="answer", timeout=HOUR)
    for pause in pauses:
        await pause
    try:
        await callback.result()
    except Exception:
        await asyncio.gather(step(one), step(two), wait(HOUR))
    return await asyncio.gather(*(step(one) for _ in range(3)))


@pytest.mark.parametrize(
    "handler",
    [overtaken, overtaken_in_contexts, enough, enough_of_flat, asked_here_awaited_there],
)
# The SDK leaves the tasks of a suspended invocation to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_is_found_in(runner_for, handler) -> None:
    result = runner_for(handler).run(timeout=30)

    assert result.status is InvocationStatus.SUCCEEDED
    assert len(result.invocations) > 1
    assert result.divergences == []


KILLED = [
    (orders.place_order, {"order_id": "o-1", "items": ["book", "lamp"]}),
    (contexts.prepare_parcel, {"items": ["book", "lamp"]}),
    (contexts.prepare_without_record, {"items": ["book", "lamp"]}),
    (contexts.archive_catalogue, {"pages": 3}),
    (contexts.haggle, {"limit": 40}),
    (batches.ship_all, {"parcels": ["a", "b", "c"]}),
    (batches.ship_flat, {"parcels": ["a", "b"]}),
    (callbacks.hand_over, {"order_id": "o-1"}),
    (conditions.follow_parcel, {"order_id": "o-1"}),
]


@pytest.mark.processes
@pytest.mark.parametrize("checkpoints", [(1,), (2, 3), (2, 4, 6)])
@pytest.mark.parametrize(
    ("handler", "event"), KILLED, ids=[handler.__name__ for handler, _ in KILLED]
)
def test_nothing_is_found_where_a_worker_dies(handler, event, checkpoints, tmp_path) -> None:
    with DurableFunctionTestRunner(dying(handler, tmp_path, *checkpoints), workers=2) as runner:
        result = runner.run(input=event, timeout=30)

    assert "ERROR" in [each.outcome for each in result.invocations]
    assert result.divergences == []
