from __future__ import annotations

import json

import pytest

from async_durable_execution_runner import InvocationStatus

from .payloads import (
    Money,
    MoneySerDes,
    export_everything,
    keep_types,
    photograph_shelves,
    sell_abroad,
)

MEBIBYTE = 1024 * 1024


def test_types_survive_a_replay(runner_for):
    result = runner_for(keep_types).run(input={}, timeout=30)

    assert result.get_deserialized_result() == {
        "id": "UUID",
        "total": "Decimal",
        "due": "datetime",
        "lines": "tuple",
    }
    invoice = result.get_operation_deserialized_result(result.get_step("invoice"))
    assert invoice["lines"] == ("book", "lamp")


def test_custom_serdes(runner_for):
    result = runner_for(sell_abroad).run(input={"item": "book"}, timeout=30)

    assert result.get_deserialized_result() == {"amount": 400, "currency": "EUR"}
    price = result.get_step("price")
    assert price.result == "400 EUR"
    assert result.get_operation_deserialized_result(price, MoneySerDes()) == Money(400, "EUR")


def test_state_of_many_megabytes(runner_for):
    shelves, size = 40, 250_000
    result = runner_for(photograph_shelves).run(
        input={"shelves": shelves, "size": size}, timeout=60
    )

    assert result.get_deserialized_result() == [size] * shelves
    assert [len(json.loads(photo.result)) for photo in result.operations[:-1]] == [size] * shelves
    assert len(result.invocations) == 2


def test_result_as_large_as_can_be(runner_for):
    quotes = 2
    result = runner_for(export_everything).run(input={"bytes": 6 * MEBIBYTE - quotes}, timeout=60)

    assert result.status is InvocationStatus.SUCCEEDED
    assert len(result.result) == 6 * MEBIBYTE
    # It came by a checkpoint; as on Lambda, the execution ends with its invocation all the same.
    assert [event.event_type for event in result.history] == [
        "ExecutionStarted",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert result.operations == []


def test_result_that_is_too_large(runner_for):
    result = runner_for(export_everything).run(input={"bytes": 6 * MEBIBYTE}, timeout=60)

    assert result.status is InvocationStatus.FAILED
    assert "6291456" in result.error.message
    assert len(result.invocations) == 1


@pytest.mark.parametrize("text", ["ünïcödé ☃ 🚚", "line\nbreak\x00"])
def test_text_of_all_kinds(runner_for, text):
    """Comes and goes as it is, through processes and protocols."""
    result = runner_for(sell_abroad).run(input={"item": text}, timeout=30)

    assert json.loads(result.input) == {"item": text}
    assert result.get_step("price").result == f"{len(text) * 100} EUR"
