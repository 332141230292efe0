"""What is seen of the SDK while a handler runs."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
import inspect
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import async_durable_execution as sdk
import pytest

from async_durable_execution_runner.core.divergence import DivergenceKind, Source
from async_durable_execution_runner.rpc.v1 import model_pb2 as model
from async_durable_execution_runner.worker.sdk import async_client, replay
from async_durable_execution_runner.worker.sdk.replay import Replay, watched

EXECUTION = model.Operation(id="e", type=model.OPERATION_TYPE_EXECUTION)
STEP = model.Operation(id="1", type=model.OPERATION_TYPE_STEP, name="a", sub_type="Step")


@pytest.fixture(autouse=True)
def _watching() -> None:
    replay.install(async_client.identifier_class(), makes_tasks=True)


def ask(operation_id: str | None = "1", name: str | None = "a", **more: Any) -> Any:
    return async_client.identifier_class()(
        operation_id, sdk.OperationSubType.STEP, None, name, **more
    )


def line_of_asking(call: Callable[[], Any]) -> str:
    seen = Replay()
    with watched(seen):
        call()
    return seen.asked["1"][1].line.rpartition("/")[2]


def test_this_release_of_the_sdk_can_be_watched() -> None:
    cls = async_client.identifier_class()
    assert cls.__name__ == "OperationIdentifier"
    assert [field.name for field in dataclasses.fields(cls)][:4] == [
        *("operation_id", "sub_type", "parent_id", "name")
    ]


def test_it_is_watched_once() -> None:
    before = async_client.identifier_class().__init__
    replay.install(async_client.identifier_class(), makes_tasks=True)
    assert async_client.identifier_class().__init__ is before


@pytest.mark.parametrize("annotations", [{}, {"operation_identifier": "Gone"}])
def test_a_release_that_cannot_be_watched_is_not(monkeypatch, annotations) -> None:
    context = type("DurableContext", (), {"__annotations__": annotations})
    monkeypatch.setattr(sdk, "DurableContext", context)
    assert async_client.identifier_class() is None


def test_where_nothing_was_seen_nothing_is_missed() -> None:
    unseen = Replay()
    sources = model.Sources(distinct=[model.Source(line="h.py:1 in h")], numbers=[0, 1])
    unseen.deliver([EXECUTION, STEP], sources)
    assert unseen.divergences(succeeded=True) == []


def test_nothing_is_seen_outside_an_invocation() -> None:
    seen = Replay()
    with watched(seen):
        contextvars.Context().run(ask)
    ask()
    assert seen.asked == {}


def test_what_has_no_id_is_no_operation() -> None:
    seen = Replay()
    with watched(seen):
        ask(None)
    assert seen.asked == {}


def test_who_asked_first_has_asked() -> None:
    seen = Replay()
    with watched(seen):
        ask(name="a")
        ask(name="b")
    assert seen.asked["1"][0].name == "a"


# -- the line that asked ----------------------------------------------------------------


def here() -> None:
    ask()


def test_the_innermost_line_of_the_handler_s_code() -> None:
    line = inspect.getsourcelines(ask)[1] + 1
    assert line_of_asking(here) == f"test_replay.py:{line} in ask"


def test_the_standard_library_s_lines_are_not_the_handler_s(monkeypatch) -> None:
    monkeypatch.setattr(replay, "_files", {__file__: replay._USER})
    make = functools.partial(
        async_client.identifier_class(), "1", sdk.OperationSubType.STEP, None, "a"
    )

    def called_through_the_library() -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(make)

    line = inspect.getsourcelines(called_through_the_library)[1] + 1
    assert line_of_asking(called_through_the_library) == (
        f"test_replay.py:{line} in called_through_the_library"
    )


def test_whose_code_a_file_is() -> None:
    installed = os.path.join(os.path.dirname(os.__file__), "site-packages", "shop", "api.py")
    kinds = [replay._kind(path) for path in ("<frozen runpy>", replay.__file__, installed)]
    assert kinds == [replay._PASSED, replay._PASSED, replay._USER]


def test_who_called_the_handler_did_not_ask() -> None:
    """A decorator above the handler is on the stack below the SDK's event loop."""
    make = functools.partial(
        async_client.identifier_class(), "1", sdk.OperationSubType.STEP, None, "a"
    )

    async def later() -> None:
        asyncio.get_running_loop().call_soon(make)
        await asyncio.sleep(0)

    assert line_of_asking(lambda: asyncio.run(later())) == ""


def test_a_task_of_the_handler_s_own() -> None:
    seen = Replay()

    async def handler() -> None:
        await asyncio.create_task(branch())

    async def branch() -> None:
        ask()

    with watched(seen):
        asyncio.run(handler())
    assert seen.asked["1"][1].in_task


# -- what goes to the coordinator -------------------------------------------------------


def update(action: Any, operation_id: str = "1") -> Any:
    return SimpleNamespace(id=operation_id, action=action)


def test_the_source_travels_with_the_update_that_starts_an_operation() -> None:
    seen = Replay()
    with watched(seen):
        ask()
    start, succeed = model.OPERATION_ACTION_START, model.OPERATION_ACTION_SUCCEED
    sources = list(seen.sources([update(start), update(succeed), update(start, "unseen")]))
    _, source = seen.asked["1"]
    assert [Source(each.line, each.in_task) for each in sources] == [source, Source(), Source()]
    assert source.line


def test_the_source_of_a_recorded_operation_stays_as_it_is() -> None:
    seen = Replay()
    seen.deliver([EXECUTION, STEP], model.Sources())
    with watched(seen):
        ask()
    assert [each.line for each in seen.sources([update(model.OPERATION_ACTION_START)])] == [""]


# -- the comparison -------------------------------------------------------------------------


def recorded(*operations: model.Operation, in_task: bool = False) -> Replay:
    """What was recorded at the line where `ask` asks."""
    probe = Replay()
    with watched(probe):
        ask()
    line = probe.asked["1"][1].line
    sources = model.Sources(
        distinct=[model.Source(line=line, in_task=in_task)], numbers=[0, *[1] * len(operations)]
    )
    seen = Replay()
    seen.deliver([EXECUTION, *operations], sources)
    return seen


def changed(**fields: Any) -> model.Operation:
    found = model.Operation()
    found.CopyFrom(STEP)
    found.MergeFrom(model.Operation(**fields))
    return found


def kinds(seen: Replay, *, succeeded: bool = True, ids: str = "1") -> list[DivergenceKind]:
    with watched(seen):
        for operation_id in ids:
            ask(operation_id)
    return [each.kind for each in seen.divergences(succeeded)]


def test_what_is_asked_for_as_recorded_is_no_divergence() -> None:
    assert kinds(recorded(STEP)) == []


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"name": "b"}, DivergenceKind.NAME),
        ({"sub_type": "WaitForCondition"}, DivergenceKind.TYPE),
        ({"parent_id": "p"}, DivergenceKind.PARENT),
    ],
)
def test_each_difference_is_found(fields: dict[str, Any], kind: DivergenceKind) -> None:
    assert kinds(recorded(changed(**fields))) == [kind]


@pytest.mark.skipif(
    "operation_type" not in inspect.signature(async_client.identifier_class()).parameters,
    reason="this release's identifiers do not say the type",
)
def test_another_type_is_found_where_the_sdk_says_it() -> None:
    for of_sdk, found in (("STEP", [DivergenceKind.TYPE]), ("CONTEXT", [])):
        seen = recorded(changed(type=model.OPERATION_TYPE_CONTEXT))
        with watched(seen):
            ask(operation_type=SimpleNamespace(value=of_sdk))
        assert [each.kind for each in seen.divergences(succeeded=True)] == found


def test_another_line_is_found() -> None:
    seen = Replay()
    line = model.Source(line="handler.py:1 in ask")
    seen.deliver([EXECUTION, STEP], model.Sources(distinct=[line], numbers=[0, 1]))
    assert kinds(seen) == [DivergenceKind.SOURCE]


def test_what_is_left_over_at_the_end_is_found() -> None:
    both = STEP, changed(id="2")
    assert kinds(recorded(*both)) == [DivergenceKind.LEFT_OVER]
    assert kinds(recorded(*both), ids="12") == []
    # It may still have come to it.
    assert kinds(recorded(*both), succeeded=False) == []
    # Nobody need wait for a task.
    assert kinds(recorded(*both, in_task=True)) == []


def test_what_is_left_over_in_a_context_that_ended_is_found() -> None:
    context = model.Operation(
        id="1", type=model.OPERATION_TYPE_CONTEXT, name="a", sub_type="RunInChildContext"
    )
    seen = recorded(context, changed(id="2", parent_id="1"))
    with watched(seen):
        async_client.identifier_class()("1", sdk.OperationSubType.RUN_IN_CHILD_CONTEXT, None, "a")
        list(seen.sources([update(model.OPERATION_ACTION_SUCCEED, "1")]))
    assert [each.kind for each in seen.divergences(succeeded=False)][-1:] == [
        DivergenceKind.LEFT_OVER
    ]
