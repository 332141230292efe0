"""The comparison of what is recorded with what a replay asked for."""

from __future__ import annotations

import pytest

from async_durable_execution_runner.core.divergence import (
    Divergence,
    DivergenceKind,
    Identity,
    Recorded,
    compare,
    divergences_text,
)

ENDED = frozenset({None})


def a_step(name: str | None = None, line: str = "", parent: str | None = None) -> Identity:
    return Identity("STEP", "Step", name, parent, line)


def a_context(
    name: str, parent: str | None = None, sub_type: str = "RunInChildContext"
) -> Recorded:
    return Recorded(Identity("CONTEXT", sub_type, name, parent, "h.py:1 in h"))


def kinds(recorded, asked, completed=ENDED):
    recorded = {
        key: each if isinstance(each, Recorded) else Recorded(each)
        for key, each in recorded.items()
    }
    found = compare(recorded, asked, completed)
    return {each.operation_id: each.kind for each in found}


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (Identity("WAIT", "Wait", "a", "p", "h.py:1 in h"), DivergenceKind.TYPE),
        (Identity("STEP", "WaitForCondition", "a", "p", "h.py:1 in h"), DivergenceKind.TYPE),
        (Identity("CONTEXT", "Step", "a", "p", "h.py:1 in h"), DivergenceKind.TYPE),
        (a_step("b", "h.py:1 in h", "p"), DivergenceKind.NAME),
        (a_step(None, "h.py:1 in h", "p"), DivergenceKind.NAME),
        (a_step("a", "h.py:1 in h"), DivergenceKind.PARENT),
        (a_step("a", "h.py:2 in h", "p"), DivergenceKind.SOURCE),
    ],
)
def test_what_differs(asked: Identity, kind: DivergenceKind) -> None:
    recorded = a_step("a", "h.py:1 in h", "p")
    (found,) = compare({"1": Recorded(recorded)}, {"1": asked}, ENDED)
    assert found == Divergence(kind, "1", recorded, asked)


@pytest.mark.parametrize(
    "asked",
    [
        a_step("a", "h.py:1 in h"),
        a_step("a", "/elsewhere/h.py:1 in h"),  # another host
        a_step("a"),  # asked for by the SDK itself
        Identity("", "Step", "a", None, "h.py:1 in h"),  # the SDK does not say
    ],
)
def test_what_does_not_differ(asked: Identity) -> None:
    recorded = a_step("a", "h.py:1 in h")
    assert kinds({"1": recorded}, {"1": asked}) == {}
    assert kinds({"1": asked}, {"1": recorded}) == {}


def test_nothing_is_compared_with_what_is_new() -> None:
    assert kinds({}, {"1": a_step("a")}) == {}


def test_exchanged_operations_are_told_from_changed_ones() -> None:
    first, second = a_step("a", "h.py:1 in h"), a_step("b", "h.py:2 in h")
    found = kinds({"1": first, "2": second}, {"1": second, "2": first})
    assert found == {"1": DivergenceKind.ORDER, "2": DivergenceKind.ORDER}


def test_exchanged_operations_without_names() -> None:
    first, second = a_step(line="h.py:1 in h"), a_step(line="h.py:2 in h")
    found = kinds({"1": first, "2": second}, {"1": second, "2": first})
    assert found == {"1": DivergenceKind.ORDER, "2": DivergenceKind.ORDER}


def test_equal_operations_of_different_contexts_are_not_exchanged() -> None:
    first, second = a_step("a", parent="p"), a_step("b", parent="q")
    asked = {"1": a_step("b", parent="p"), "2": second}
    assert kinds({"1": first, "2": second}, asked) == {"1": DivergenceKind.NAME}


def test_operations_of_other_types_are_not_exchanged() -> None:
    asked = {"1": Identity("WAIT", "Wait", "b"), "2": a_step("c")}
    found = kinds({"1": a_step("a"), "2": a_step("b")}, asked)
    assert found == {"1": DivergenceKind.TYPE, "2": DivergenceKind.NAME}


def test_one_too_many_in_front_moves_those_behind_it() -> None:
    steps = {str(n): a_step(name, "h.py:1 in h") for n, name in enumerate("abc", start=1)}
    asked = {str(n): a_step(name, "h.py:1 in h") for n, name in enumerate("xab", start=1)}
    name, order = DivergenceKind.NAME, DivergenceKind.ORDER
    assert kinds(steps, asked) == {"1": name, "2": order, "3": order}


LEFT = a_step("left", "h.py:3 in h")
INSIDE = a_step("left", "h.py:3 in h", "p")


def test_left_over() -> None:
    (found,) = compare({"1": Recorded(LEFT)}, {}, ENDED)
    assert found == Divergence(DivergenceKind.LEFT_OVER, "1", LEFT, None)


@pytest.mark.parametrize("sub_type", ["RunInChildContext", "MapIteration", "ParallelBranch"])
def test_left_over_in_a_context_that_ran_again(sub_type: str) -> None:
    context = a_context("box", sub_type=sub_type)
    found = kinds({"p": context, "1": INSIDE}, {"p": context.identity}, {"p"})
    assert found == {"1": DivergenceKind.LEFT_OVER}


@pytest.mark.parametrize(
    ("recorded", "completed"),
    [
        pytest.param(Recorded(LEFT), set(), id="the handler did not come to its end"),
        pytest.param(Recorded(LEFT, in_task=True), ENDED, id="nobody need wait for it"),
        pytest.param(Recorded(a_step("left")), ENDED, id="nobody was seen asking for it"),
        pytest.param(Recorded(INSIDE), ENDED, id="its context did not come to its end"),
    ],
)
def test_not_left_over(recorded: Recorded, completed: set[str | None]) -> None:
    context = a_context("box")
    assert kinds({"p": context, "1": recorded}, {"p": context.identity}, completed) == {}


def test_a_batch_may_end_early() -> None:
    batch = a_context("batch", sub_type="Map")
    asked = {"p": batch.identity}
    assert kinds({"p": batch, "1": INSIDE}, asked, {"p", None}) == {}


def test_moved_to_another_context() -> None:
    box = a_context("box").identity
    (found,) = compare({"1": Recorded(LEFT)}, {"p": box, "2": INSIDE}, ENDED)
    assert found.kind is DivergenceKind.PARENT
    assert (found.recorded.parent_id, found.replayed.parent_id) == (None, "p")


@pytest.mark.parametrize("recorded", [{}, {"2": Recorded(INSIDE)}], ids=["beside it", "as ever"])
def test_what_looks_like_it_is_not_always_where_it_moved_to(recorded: dict[str, Recorded]) -> None:
    """One that is new in the same context, or that was there before in another."""
    box = a_context("box")
    asked = {"p": box.identity, "2": INSIDE if recorded else LEFT}
    found = kinds({"p": box, "1": LEFT, **recorded}, asked)
    assert found == {"1": DivergenceKind.LEFT_OVER}


def test_a_context_that_is_not_asked_for_any_more_has_its_name() -> None:
    (found,) = compare({"p": a_context("box"), "1": Recorded(INSIDE)}, {"1": LEFT}, ())
    assert (found.kind, found.recorded.parent_name) == (DivergenceKind.PARENT, "box")


def test_a_context_without_a_name_is_called_by_its_id() -> None:
    (found,) = compare({"1": Recorded(a_step("a", parent="0123456789"))}, {"1": a_step("a")}, ())
    assert found.recorded.describe(with_parent=True) == "Step 'a' in context 01234567"


def test_no_more_than_anybody_reads() -> None:
    recorded = {str(n): Recorded(a_step(f"a{n}")) for n in range(1000)}
    asked = {str(n): a_step(f"b{n}") for n in range(1000)}
    assert len(compare(recorded, asked, ENDED)) == 100


def test_text_has_both_sides() -> None:
    box = a_context("box")
    name = compare(
        {"p": box, "0123456789": Recorded(a_step("a", "h.py:1 in h", "p"))},
        {"p": box.identity, "0123456789": a_step(None, "h.py:2 in h", "p")},
        (),
    )
    moved = compare({"1": Recorded(LEFT)}, {"p": box.identity, "2": INSIDE}, ENDED)
    left = compare({"1": Recorded(LEFT)}, {}, ENDED)
    assert divergences_text([*name, *moved, *left]) == (
        "another name (operation 01234567, invocation 0)\n"
        "  recorded: Step 'a' in 'box', h.py:1 in h\n"
        "  replayed: Step in 'box', h.py:2 in h\n"
        "another parent (operation 1, invocation 0)\n"
        "  recorded: Step 'left' at the top level, h.py:3 in h\n"
        "  replayed: Step 'left' in 'box', h.py:3 in h\n"
        "never reached (operation 1, invocation 0)\n"
        "  recorded: Step 'left', h.py:3 in h\n"
        "  replayed: nothing: the handler ended without asking for it"
    )
