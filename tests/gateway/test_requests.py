"""What is read from a request: every place and every type that the model knows."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from botocore.model import DenormalizedStructureBuilder, StructureShape

from async_durable_execution_runner.errors import InvalidParameterValue
from async_durable_execution_runner.gateway import constraints, requests
from async_durable_execution_runner.gateway.model import API, ApiOperation
from async_durable_execution_runner.gateway.refusals import Refusal

from .matrix import SERVED


def shape(**members: Any) -> StructureShape:
    """An input of these members, as a service model would have it."""
    return DenormalizedStructureBuilder().with_members(members).build_model()


def operation(input: StructureShape) -> ApiOperation:
    return ApiOperation("Test", 200, input, None, frozenset())


EVERYTHING = shape(
    Text={"type": "string"},
    Count={"type": "integer"},
    Big={"type": "long"},
    Ratio={"type": "double"},
    Flag={"type": "boolean"},
    When={"type": "timestamp"},
    Bytes={"type": "blob"},
    Some={"type": "list", "member": {"type": "integer"}},
    Named={"type": "map", "key": {"type": "string"}, "value": {"type": "string"}},
    Deep={"type": "structure", "members": {"Text": {"type": "string"}}},
)


def read(body: bytes, **given: Any) -> dict[str, Any]:
    return requests.parameters(operation(EVERYTHING), {}, "", {}, body, **given)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"Text": "\\u00e9"}', {"Text": "\N{LATIN SMALL LETTER E WITH ACUTE}"}),
        (b'{"Count": 3, "Big": -9000000000}', {"Count": 3, "Big": -9_000_000_000}),
        (b'{"Ratio": 1}', {"Ratio": 1.0}),
        (b'{"Flag": false}', {"Flag": False}),
        (b'{"When": 1.5}', {"When": 1.5}),
        (b'{"When": "1970-01-01T00:00:02Z"}', {"When": 2.0}),
        (b'{"Bytes": "aGk="}', {"Bytes": b"hi"}),
        (
            b'{"Some": [1, 2], "Named": {"a": "b", "c": null}}',
            {"Some": [1, 2], "Named": {"a": "b"}},
        ),
        (b'{"Deep": {"Text": "x", "Unknown": 1}, "Unknown": {}}', {"Deep": {"Text": "x"}}),
        (b'{"Text": null}', {}),
        (b"{}", {}),
        (b"", {}),
    ],
)
def test_a_body(body: bytes, expected: dict[str, Any]) -> None:
    assert read(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[]", b'"x"', b"5", b"\xff\xfe{}", b'{"Unknown": NaN}', b"[" * 99_999),
        *(
            b'{"Text": 5}',
            b'{"Text": {}}',
            b'{"Count": "3"}',
            b'{"Count": 1.5}',
            b'{"Count": true}',
        ),
        *(b'{"Flag": "true"}', b'{"Flag": 1}', b'{"When": "today"}', b'{"When": {}}'),
        *(b'{"Bytes": "*"}', b'{"Bytes": 1}', b'{"Some": {}}', b'{"Some": ["x"]}'),
        *(b'{"Named": []}', b'{"Named": {"a": 1}}', b'{"Deep": "x"}', b'{"Ratio": "1"}'),
        b'{"Unknown": ' + b"9" * 101 + b"}",
        *(b'{"When": 1e999}', b'{"Text": "\\ud800"}', b'{"Named": {"\\udfff": "x"}}'),
    ],
)
def test_a_body_that_cannot_be_read(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read(body)
    assert caught.value.code == "InvalidRequestContentException"


def test_every_place_of_a_request() -> None:
    invoke = API.operations["Invoke"]
    found = API.find("POST", "/2015-03-31/functions/a%3Ab/invocations/")
    assert found is not None
    given = requests.parameters(
        invoke,
        found[1],
        "Qualifier=%24LATEST&Unknown=1",
        {"x-amz-invocation-type": "Event", "x-other": "1"},
        b"[1]",
    )
    assert given == {
        "FunctionName": "a:b",
        "Qualifier": "$LATEST",
        "InvocationType": "Event",
        "Payload": b"[1]",
    }
    assert requests.parameters(invoke, found[1], "", {}, b"") == {"FunctionName": "a:b"}


def test_what_is_in_the_path_is_read_from_nowhere_else() -> None:
    checkpoint = API.operations["CheckpointDurableExecution"]
    body = b'{"DurableExecutionArn": "another", "CheckpointToken": "t"}'
    given = requests.parameters(checkpoint, {"DurableExecutionArn": "arn"}, "", {}, body)
    assert given == {"DurableExecutionArn": "arn", "CheckpointToken": "t"}


def test_a_body_that_is_one_member() -> None:
    stop = API.operations["StopDurableExecution"]
    for body, expected in (
        (b'{"ErrorType": "Boom"}', {"Error": {"ErrorType": "Boom"}}),
        # How an absent one is sent.
        (b"{}", {}),
        (b"", {}),
    ):
        given = requests.parameters(stop, {"DurableExecutionArn": "arn"}, "", {}, body)
        assert given == {"DurableExecutionArn": "arn"} | expected
    text = shape(Text={"type": "string"})
    text.serialization["payload"] = "Text"
    assert requests.parameters(operation(text), {}, "", {}, b"x\xff") == {"Text": "x\ufffd"}
    assert requests.parameters(operation(text), {}, "", {}, b"") == {}


def test_members_go_by_the_names_that_the_model_gives_them() -> None:
    texts = {"type": "map", "key": {"type": "string"}, "value": {"type": "string"}}
    renamed = shape(Text={"type": "string"}, Some=texts)
    renamed.members["Text"].serialization["name"] = "text"
    renamed.members["Some"].serialization.update(location="headers", name="X-Some-")
    headers = {"x-some-a": "1", "x-other": "2"}
    found = requests.parameters(operation(renamed), {}, "", headers, b'{"text": "x", "Text": "y"}')
    assert found == {"Text": "x", "Some": {"a": "1"}}
    assert requests.parameters(operation(renamed), {}, "", {}, b"") == {}


def test_numbers_and_bytes_in_a_query() -> None:
    asked = operation(shape(Bytes={"type": "blob"}, Ratio={"type": "double"}))
    for member in asked.input.members.values():
        member.serialization["location"] = "querystring"
    found = requests.parameters(asked, {}, "Bytes=hi&Ratio=1.5", {}, b"")
    assert found == {"Bytes": b"hi", "Ratio": 1.5}
    with pytest.raises(Refusal):
        requests.parameters(asked, {}, "Ratio=x", {}, b"")


def test_a_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert read(b'{"When": "1970-01-01T00:00:02"}') == {"When": 2.0}
    time.tzset()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Statuses=RUNNING&Statuses=FAILED", {"Statuses": ["RUNNING", "FAILED"]}),
        ("MaxItems=7&ReverseOrder=true", {"MaxItems": 7, "ReverseOrder": True}),
        ("ReverseOrder=False", {"ReverseOrder": False}),
        ("StartedAfter=1970-01-01T00%3A00%3A01Z", {"StartedAfter": 1.0}),
        ("StartedAfter=1970-01-01T01:00:00%2B01:00", {"StartedAfter": 0.0}),
        ("StartedAfter=1970-01-01", {"StartedAfter": 0.0}),
        ("StartedAfter=1.25", {"StartedAfter": 1.25}),
        ("StartedAfter=Thu,%2001%20Jan%201970%2000:00:05%20GMT", {"StartedAfter": 5.0}),
        ("Marker=", {"Marker": ""}),
    ],
)
def test_a_query(query: str, expected: dict[str, Any]) -> None:
    list_executions = API.operations["ListDurableExecutionsByFunction"]
    found = requests.parameters(list_executions, {"FunctionName": "f"}, query, {}, b"")
    assert found == {"FunctionName": "f"} | expected


@pytest.mark.parametrize(
    "query",
    [
        *("MaxItems=x", "MaxItems=", "MaxItems=1.0", f"MaxItems={'9' * 99}"),
        *("ReverseOrder=yes", "StartedAfter=now", "StartedAfter=nan", "StartedAfter=inf"),
        f"StartedAfter=Mon, 01 Jan {'9' * 30} 00:00:00 GMT",
    ],
)
def test_a_query_that_cannot_be_read(query: str) -> None:
    with pytest.raises(Refusal):
        requests.parameters(
            API.operations["ListDurableExecutionsByFunction"],
            {"FunctionName": "f"},
            query,
            {},
            b"",
        )


def test_what_is_spelt_out_goes_before_a_label() -> None:
    for name, model in ((n, API.model.operation_model(n)) for n in API.operations):
        path, _, query = model.http["requestUri"].partition("?")
        if query:
            continue
        found = API.find(model.http["method"], path.replace("{", "").replace("}", ""))
        assert found is not None
        assert found[0].name == name


# -- constraints -----------------------------------------------------------------------------


def problem(members: dict[str, Any], given: dict[str, Any]) -> str:
    with pytest.raises(InvalidParameterValue) as caught:
        constraints.check(shape(**members), given)
    return caught.value.message


def test_a_refusal_says_what_and_where() -> None:
    updates = API.operations["CheckpointDurableExecution"].input
    with pytest.raises(InvalidParameterValue) as caught:
        constraints.check(updates, {"Updates": [{"Id": "", "Type": "STEP"}]})
    text = caught.value.message
    assert text.startswith("5 validation errors detected: ")
    assert (
        "Value null at 'durableExecutionArn' failed to satisfy constraint: Member must not be"
        in text
    )
    assert "Value null at 'updates.1.member.action' failed to satisfy constraint" in text
    assert (
        "Value '' at 'updates.1.member.id' failed to satisfy constraint: Member must have length "
        "greater than or equal to 1" in text
    )


def test_a_refusal_names_the_first_ten_problems() -> None:
    updates = API.operations["CheckpointDurableExecution"].input
    with pytest.raises(InvalidParameterValue) as caught:
        constraints.check(updates, {"Updates": [{}] * 100_000})
    text = caught.value.message
    assert text.startswith("10 validation errors detected, and there are more: Value null at 'd")
    assert text.count("failed to satisfy constraint") == 10


def test_a_list_is_not_shown() -> None:
    member = {"type": "list", "member": STRING, "max": 1}
    text = problem({"Name": member}, {"Name": ["x"] * 100_000})
    assert text.startswith("1 validation error detected: Value at 'name' failed to satisfy")


STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("member", "good", "bad"),
    [
        (STRING | {"min": 2, "max": 3}, ["ab", "abc"], ["a", "abcd"]),
        ({"type": "integer", "min": 20, "max": 30}, [20, 30], [19, 31]),
        ({"type": "blob", "min": 1}, [b"x"], [b""]),
        ({"type": "list", "member": STRING | {"max": 1}, "max": 1}, [["a"]], [["a", "b"], ["ab"]]),
        (STRING | {"enum": ["A", "B"]}, ["A", "B"], ["C"]),
        (STRING | {"pattern": "[a-z]+"}, ["a", "ab"], ["", "a1"]),
        (
            {"type": "map", "key": STRING | {"max": 1}, "value": STRING | {"max": 1}},
            [{"a": "b"}],
            [{"aa": "b"}, {"a": "bb"}],
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_what_keeps_to_a_rule_and_what_does_not(
    member: dict[str, Any], good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        constraints.check(shape(Name=member), {"Name": value})
    for value in bad:
        assert problem({"Name": member}, {"Name": value}).startswith("1 validation error detected:")


def test_a_secret_is_not_shown() -> None:
    text = problem({"Name": {"type": "string", "max": 3, "sensitive": True}}, {"Name": "hush"})
    assert "hush" not in text
    assert text.startswith("1 validation error detected: Value at 'name' failed")


def test_a_long_value_is_cut() -> None:
    assert len(problem({"Name": {"type": "string", "max": 3}}, {"Name": "x" * 10_000})) < 500


def test_a_rule_that_only_java_can_read_is_left_out() -> None:
    constraints.check(
        shape(Name={"type": "string", "pattern": "\\p{javaLetter}+(?<n>"}), {"Name": "x"}
    )


def test_every_input_of_ours_has_rules_that_can_be_read() -> None:
    patterns: dict[str, str] = {}

    def walk(each: Any) -> None:
        if pattern := each.metadata.get("pattern"):
            patterns[each.name] = pattern
        for below in [*getattr(each, "members", {}).values(), getattr(each, "member", None)]:
            # An error's details hold errors.
            if below is not None and below.name not in seen:
                seen.add(below.name)
                walk(below)

    seen: set[str] = set()
    for name in SERVED:
        walk(API.operations[name].input)
    assert "DurableExecutionArn" in patterns
    for pattern in patterns.values():
        re.compile(pattern)
