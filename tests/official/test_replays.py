"""The official SDK's handlers that ask for other operations on a replay, and others that do not."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from async_durable_execution_runner import (
    CallbackOperation,
    DivergenceKind,
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
    InvocationStatus,
)

pytest.importorskip(
    "aws_durable_execution_sdk_python", reason="the official SDK, the extra [aws], is not installed"
)

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import CompletionConfig, Duration, ParallelConfig
from aws_durable_execution_sdk_python.identifier import OperationIdentifier

CATEGORY = "async_durable_execution_runner.NonDeterministicWarning"
pytestmark = [
    pytest.mark.processes,
    pytest.mark.filterwarnings(f"ignore::{CATEGORY}"),
    pytest.mark.skipif(
        "sub_type" not in OperationIdentifier.__annotations__,
        reason="this release's identifiers do not say what kind of operation it is",
    ),
]

HOUR = Duration.from_hours(1)


def is_first(event: dict, context: DurableContext) -> bool:
    """Whether nobody asked before; the mistake is not to ask in a step."""

    def look(_: Any) -> bool:
        marker = Path(event["marker"])
        first = not marker.exists()
        marker.touch()
        return first

    return context.step(look, name="look") if event["fixed"] else look(None)


def one(_: Any) -> int:
    return 1


@durable_execution
def other_line(event: dict, context: DurableContext) -> None:
    if is_first(event, context):
        context.step(one)
    else:
        context.step(one)
    context.wait(HOUR)


@durable_execution
def other_line_in_a_branch(event: dict, context: DurableContext) -> None:
    def branch(child: DurableContext, first: bool, *_: Any) -> None:
        if first:
            child.step(one)
        else:
            child.step(one)
        child.wait(HOUR)

    context.map([is_first(event, context)], branch)


@durable_execution
def swapped_without_names(event: dict, context: DurableContext) -> None:
    def ask_one() -> None:
        context.step(one)

    def ask_two() -> None:
        context.step(lambda _: 2)

    asks = [ask_one, ask_two] if is_first(event, context) else [ask_two, ask_one]
    for ask in asks:
        ask()
    context.wait(HOUR)


@durable_execution
def left_over(event: dict, context: DurableContext) -> None:
    callback = context.create_callback(name="approval")
    if is_first(event, context):
        context.step(one, name="x")
    callback.result()


@durable_execution
def left_over_in_a_context(event: dict, context: DurableContext) -> None:
    def inside(child: DurableContext) -> None:
        callback = child.create_callback(name="approval")
        if is_first(event, child):
            child.step(one, name="x")
        callback.result()

    context.run_in_child_context(inside, name="box")


@durable_execution
def other_line_on_the_second_page(event: dict, context: DurableContext) -> None:
    first = is_first(event, context)
    for _ in range(30):
        context.step(lambda _: "x" * 250_000)
    if first:
        context.step(one)
    else:
        context.step(one)
    context.wait(HOUR)


SOURCE, ORDER, LEFT_OVER = DivergenceKind.SOURCE, DivergenceKind.ORDER, DivergenceKind.LEFT_OVER

WRONG = {
    "other_line": [SOURCE],
    "other_line_in_a_branch": [SOURCE],
    "other_line_on_the_second_page": [SOURCE],
    "swapped_without_names": [ORDER, ORDER],
    "left_over": [LEFT_OVER],
    "left_over_in_a_context": [LEFT_OVER],
}
each_isolation = pytest.mark.parametrize("isolation", ["worker", "inline"])


def run(handler: str, path: Path, isolation: str, fixed: bool) -> DurableFunctionTestResult:
    with DurableFunctionTestRunner(globals()[handler], workers=1, isolation=isolation) as runner:
        execution = runner.start({"marker": str(path / "marker"), "fixed": fixed})
        state = execution.run_until_suspended()
        for operation in state.get_all_operations():
            if isinstance(operation, CallbackOperation):
                runner.send_callback_success(operation.callback_id, "yes")
        return execution.result()


@each_isolation
@pytest.mark.parametrize("handler", WRONG)
def test_a_divergence_is_found(tmp_path: Path, handler: str, isolation: str) -> None:
    result = run(handler, tmp_path, isolation, fixed=False)
    assert [each.kind for each in result.divergences] == WRONG[handler]
    for each in result.divergences:
        recorded = result.get_operation_by_id(each.operation_id)
        assert recorded.operation_type.value == each.recorded.type
        assert (each.recorded.name, each.recorded.parent_id) == (recorded.name, recorded.parent_id)
        assert "test_replays.py:" in each.recorded.source


@each_isolation
@pytest.mark.parametrize("handler", WRONG)
@pytest.mark.filterwarnings(f"error::{CATEGORY}")
def test_its_fixed_form_has_none(tmp_path: Path, handler: str, isolation: str) -> None:
    result = run(handler, tmp_path, isolation, fixed=True)
    assert result.status is InvocationStatus.SUCCEEDED
    assert len(result.invocations) == 2
    assert result.divergences == []


@durable_execution
def other_name(event: dict, context: DurableContext) -> None:
    context.step(one, name="first" if is_first(event, context) else "again")
    context.wait(HOUR)


@pytest.mark.skipif(
    not hasattr(OperationIdentifier, "validate_checkpoint"),
    reason="this release of the SDK does not look",
)
def test_what_the_sdk_refuses_itself_is_shown_with_the_lines_that_asked(tmp_path: Path) -> None:
    result = run("other_name", tmp_path, "worker", fixed=False)
    assert result.error.type.endswith("NonDeterministicExecutionError")
    (found,) = result.divergences
    assert found.kind is DivergenceKind.NAME
    assert (found.recorded.name, found.replayed.name) == ("first", "again")
    assert found.recorded.source == found.replayed.source


# -- what is none ----------------------------------------------------------------------------


@durable_execution
def ends_a_batch_early(event: dict, context: DurableContext) -> None:
    """Its slow branch asks for operations that nobody waits for."""

    def slow(child: DurableContext) -> None:
        child.step(one, name="slow")
        child.wait(HOUR)
        child.step(one, name="never")

    config = ParallelConfig(completion_config=CompletionConfig(min_successful=1))
    context.parallel([slow, lambda child: child.step(one, name="quick")], config=config)
    context.wait(HOUR)


@durable_execution
def catches_what_fails(event: dict, context: DurableContext) -> str:
    def fails(_: Any) -> None:
        raise ValueError("no")

    def inside(child: DurableContext) -> None:
        child.step(one, name="before")
        raise ValueError("no")

    for ask in (
        lambda: context.run_in_child_context(inside, name="box"),
        lambda: context.wait_for_callback(lambda *_: fails(None), name="never"),
    ):
        try:
            ask()
        except Exception:
            context.step(one, name="compensate")
    context.wait(HOUR)
    return "compensated"


@durable_execution
def returns_what_is_large(event: dict, context: DurableContext) -> int:
    """Its child contexts run again on a replay."""

    def inside(child: DurableContext) -> str:
        return "".join(child.step(lambda _: "x" * 100_000, name=f"part {n}") for n in range(4))

    box = context.run_in_child_context(inside, name="box")
    batch = context.map([1, 2], lambda child, *_: inside(child), name="batch")
    context.wait(HOUR)
    return len(box) + sum(map(len, batch.get_results()))


@durable_execution
def asks_in_a_thread_of_its_own(event: dict, context: DurableContext) -> None:
    """The end may come before its thread has asked again: that is not left over for certain."""
    first = not Path(event["marker"]).exists()
    Path(event["marker"]).touch()

    def pause() -> None:
        if first:
            context.step(one, name="in a thread")

    thread = threading.Thread(target=pause)
    callback = context.create_callback(name="approval")
    thread.start()
    thread.join()
    callback.result()


@pytest.mark.parametrize(
    "handler",
    [
        "ends_a_batch_early",
        "catches_what_fails",
        "returns_what_is_large",
        "asks_in_a_thread_of_its_own",
    ],
)
@pytest.mark.filterwarnings(f"error::{CATEGORY}")
def test_no_divergence_is_found(tmp_path: Path, handler: str) -> None:
    result = run(handler, tmp_path, "worker", fixed=False)
    assert result.status is InvocationStatus.SUCCEEDED, result.describe()
    assert len(result.invocations) > 1
    assert result.divergences == []
