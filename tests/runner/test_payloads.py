"""How inputs become payloads."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from async_durable_execution import durable_execution

from async_durable_execution_runner import (
    DurableFunctionTestRunner,
)
from async_durable_execution_runner.core import model
from async_durable_execution_runner.runner.payloads import error_object, inputs_of, payload_of


@durable_execution
async def echo(event: Any) -> Any:
    return event


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        (None, "null"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        ("just text", '"just text"'),
        ('{"a":1}', '{"a":1}'),
        ("17", "17"),
        ('"quoted"', '"quoted"'),
        ("", '""'),
        ("NaN", '"NaN"'),
        (17, "17"),
    ],
)
def test_input_becomes_json_and_json_text_is_taken_as_it_is(value: object, payload: str) -> None:
    assert payload_of(value) == payload


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", {"deep": [datetime.now()]}, math.nan]
)
def test_what_json_cannot_carry_is_one_clear_error(value: object) -> None:
    runner = DurableFunctionTestRunner(handler=echo)
    with pytest.raises(TypeError, match=r"cannot be sent as JSON .* payload="):
        runner.run(input=value)


def test_input_that_contains_itself_is_the_same_error() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(TypeError, match="cannot be sent as JSON"):
        payload_of(loop)


def test_input_and_payload_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="not both"):
        DurableFunctionTestRunner(handler=echo).run(input=1, payload="1")


def test_text_that_is_no_utf_8_is_sent_as_json_can_carry_it() -> None:
    assert payload_of('"\ud800"') == r'"\"\ud800\""'


@pytest.mark.parametrize(("inputs", "kind"), [({"a": 1}, "mapping"), ("ab", "text")])
def test_one_input_is_not_taken_for_several(inputs: object, kind: str) -> None:
    with pytest.raises(TypeError) as raised:
        inputs_of(inputs)
    assert f"a {kind} is one: give a list, run_many([{inputs!r}])." in str(raised.value)


def test_several_inputs_are_any_iterable() -> None:
    several = iter([1])
    assert inputs_of(several) is several


@pytest.mark.parametrize(
    "module", ["async_durable_execution", "aws_durable_execution_sdk_python.lambda_service"]
)
def test_the_error_object_of_either_sdk_is_an_error(module: str) -> None:
    error = pytest.importorskip(module).ErrorObject("no", "Refused", None, ["a line"])
    assert error_object(error) == model.ErrorObject("no", "Refused", None, ("a line",))
