"""What a test asks of a ledger; here the effects are made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from async_durable_execution import ErrorObject

from async_durable_execution_runner import Effect, Ledger
from async_durable_execution_runner.core.model import Effect as Recorded
from async_durable_execution_runner.core.model import ErrorObject as CoreError
from async_durable_execution_runner.results.ledger import effect

KILLED = ErrorObject(
    "RequestId: r1 Error: Runtime exited with error: signal: killed",
    "Runtime.ExitError",
    None,
    None,
)


def made(name: str = "charge", key: Any = None, invocation: int = 1, **fields: Any) -> Effect:
    values: dict[str, Any] = {
        "data": {},
        "execution_arn": "arn",
        "function_name": "order",
        "operation_id": "s1",
        "operation_name": "pay",
        "attempt": 1,
        "request_id": f"r{invocation}",
        "timestamp": None,
    }
    return Effect(name=name, key=key, invocation=invocation, **(values | fields))


TWICE = Ledger([made(key="o-1", invocation_error=KILLED), made(key="o-1", invocation=2)])


def failure(check: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as failed:
        check(*arguments, **options)
    # pytest shows the test, and none of our code.
    assert failed.traceback.filter(failed)[-1].path == Path(__file__)
    return str(failed.value)


def test_it_is_a_sequence() -> None:
    first, second = TWICE
    assert (len(TWICE), TWICE[0], TWICE[-1]) == (2, first, second)
    assert TWICE[1:] == Ledger([second])
    assert isinstance(TWICE[1:], Ledger)
    assert first in TWICE
    assert TWICE.named("charge") == TWICE
    assert TWICE.named("refund") == Ledger()
    assert not Ledger()
    assert Ledger() != []


def test_count_takes_a_name_or_an_effect() -> None:
    assert (TWICE.count("charge"), TWICE.count("refund"), TWICE.count(TWICE[0])) == (2, 0, 1)


def test_repr() -> None:
    assert repr(Ledger()) == str(Ledger()) == "<Ledger: no effects>"
    assert repr(Ledger([*TWICE, made("mail")])) == "<Ledger: charge x2, mail>"


def test_the_text_says_what_happened_between() -> None:
    ledger = Ledger([*TWICE, made("mail", data={"to": "é"}, attempt=None, outside_step=True)])
    assert str(ledger).splitlines() == [
        "effects  key    data         operation  attempt  invocation",
        'charge   "o-1"               pay        1        1',
        "  ^ invocation 1 failed: Runtime.ExitError: Runtime exited with error: signal: killed",
        'charge   "o-1"               pay        1        2',
        'mail            {"to": "é"}  pay                 1           '
        "outside a step: every replay repeats it",
    ]


def test_the_text_of_a_chain_names_the_functions() -> None:
    text = str(Ledger([made(), made(execution_arn="other", function_name="mail", stale=True)]))
    assert (
        "charge   mail      pay        1        1           after the end of its invocation" in text
    )


def test_the_text_of_very_many_is_cut() -> None:
    text = str(Ledger(made(key=number) for number in range(200)))
    assert "… 150 more" in text
    assert len(text.splitlines()) == 52


def test_once() -> None:
    TWICE[:1].assert_effect_once("charge")
    TWICE[:1].assert_effect_once("charge", key="o-1")
    text = failure(TWICE.assert_effect_once, "charge")
    assert text == f"effect 'charge' happened 2 times, not once:\n{TWICE}"


def test_never() -> None:
    TWICE.assert_no_effect("refund")
    TWICE.assert_no_effect("charge", key="o-2")
    assert failure(TWICE.assert_no_effect, "charge") == f"effect 'charge' happened:\n{TWICE}"


def test_what_did_not_happen_is_shown_beside_what_did() -> None:
    text = failure(TWICE.assert_effect_once, "charge", key="o-2")
    assert text == f"effect 'charge' with the key 'o-2' did not happen; others did:\n{TWICE}"
    text = failure(Ledger().assert_effect_once, "charge")
    assert text == "effect 'charge' did not happen: no effect was recorded."


@pytest.mark.parametrize(
    "effects",
    [
        [],
        [made()],
        [made(key="a"), made(key="a", invocation=2)],
        [made(key={"a": 1, "b": 2}), made(key={"b": 2, "a": 1}, attempt=2)],
        # Two of one try, of which the first try came to one.
        [made(key="a"), made(key="a", invocation=2), made(key="b", invocation=2)],
        [made(key="a"), made(key="b"), made(key="b", attempt=2)],
        # Nobody's repetition.
        [made(key="a"), made(key="b", operation_id="s2", invocation=2)],
        [made(key="a"), made(key="b", execution_arn="other", invocation=2)],
        [made(key="a"), made(key="b", function_name="other", invocation=2)],
        [made(key="a"), made("mail", key="b", invocation=2)],
        # Each try is held to all before it.
        [made(key="a"), made(key="b"), made(key="a", attempt=2), made(key="b", attempt=3)],
    ],
)
def test_idempotent(effects: list[Effect]) -> None:
    Ledger(effects).assert_idempotent()


@pytest.mark.parametrize(
    ("effects", "problem"),
    [
        ([made(key="a"), made(key="b", invocation=2)], "with another 'key'"),
        ([made(key="a"), made(key="b", attempt=2)], "with another 'key'"),
        ([made(key=1), made(key="1", invocation=2)], "with another 'key'"),
        ([made(), made(invocation=2)], "without a 'key'"),
        ([made(key="a"), made(invocation=2)], "without a 'key'"),
        ([made(), made()], "without a 'key'"),
        (
            [made(key="a"), made(key="a", invocation=2), made(key="b", invocation=3)],
            "with another 'key'",
        ),
        (
            [made(operation_id=None, key="a"), made(operation_id=None, key="b", invocation=2)],
            "with another 'key'",
        ),
    ],
)
def test_not_idempotent(effects: list[Effect], problem: str) -> None:
    ledger = Ledger([made("mail"), *effects])
    text = failure(ledger.assert_idempotent)
    assert text == f"effect 'charge' was repeated {problem}:\n{Ledger(effects)}"


def test_idempotent_by_a_field_of_the_data() -> None:
    ledger = Ledger(
        [made(data={"n": 1, "m": 1}), made(data={"n": 1, "m": 2}, invocation=2)],
    )
    ledger.assert_idempotent(by="n")
    assert "repeated with another 'm'" in failure(ledger.assert_idempotent, by="m")
    assert "repeated without a 'o'" in failure(ledger.assert_idempotent, by="o")


def test_an_effect_is_made_of_a_recorded_one() -> None:
    view = effect(Recorded("r1", "charge", '{"amount": 7}', key="null", time_ms=1_700_000_000_123))
    assert (view.name, view.key, view.data) == ("charge", None, {"amount": 7})
    assert view.timestamp.microsecond == 123_000
    recorded = Recorded(
        request_id="r2",
        name="charge",
        data="{}",
        key='"o-1"',
        operation_id="s1",
        operation_name="pay",
        attempt=2,
        outside_step=True,
        execution_arn="arn",
        function_name="order",
        invocation=2,
        time_ms=0,
        stale=True,
        invocation_error=CoreError("killed", "Runtime.ExitError"),
    )
    assert effect(recorded) == Effect(
        name="charge",
        key="o-1",
        data={},
        execution_arn="arn",
        function_name="order",
        operation_id="s1",
        operation_name="pay",
        attempt=2,
        invocation=2,
        request_id="r2",
        timestamp=datetime.fromtimestamp(0, UTC),
        outside_step=True,
        stale=True,
        invocation_error=ErrorObject("killed", "Runtime.ExitError", None, None),
    )
