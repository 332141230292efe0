"""`durable-runner diff`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aws.scripted import STARTED, event

from async_durable_execution_runner.cli.main import main

Event = dict[str, Any]


def story(run: str, place: str = "us-east-1:123456789012", trace: str = "/var/task") -> list[Event]:
    """An execution as it goes each time, with all that differs from one time to the next."""
    arn = f"arn:aws:lambda:{place}:function:order:{run}/durable-execution/{run}/{run}-uuid"
    payment = f"arn:aws:lambda:{place}:function:pay:{run}/durable-execution/{run}/{run}-pay"
    failed = {"ErrorType": "Refused", "StackTrace": [f"{trace}/order.py"]}
    return [
        event(1, "ExecutionStarted", f"{run}-uuid", name=run, Input={"Payload": "{}"}),
        event(2, "CallbackStarted", f"{run}-c", name="ask", CallbackId=f"{run}-id", Timeout=60),
        event(3, "StepStarted", f"{run}-s", name="mail"),
        event(
            4,
            "StepSucceeded",
            f"{run}-s",
            name="mail",
            Result={"Payload": f'"answer to {run}-id, {arn}"', "Truncated": False},
            RetryDetails={"CurrentAttempt": 1},
        ),
        event(
            5,
            "InvocationCompleted",
            RequestId=f"{run}-request",
            StartTimestamp=run,
            Error={"Payload": {"ErrorMessage": f"RequestId: {run}-request Error: exit status 3"}},
        ),
        event(6, "ContextStarted", f"{run}-x", name="ship"),
        event(7, "StepFailed", f"{run}-y", parent=f"{run}-x", Error={"Payload": failed}),
        event(
            8,
            "ChainedInvokeStarted",
            f"{run}-i",
            name="pay",
            DurableExecutionArn=payment,
            ExecutedVersion=run,
        ),
        event(9, "ExecutionSucceeded", f"{run}-uuid", name=run, Result={"Payload": "1"}),
    ]


def file(folder: Path, name: str, events: list[Event], **rest: Any) -> str:
    path = folder / name
    path.write_text(json.dumps({"Events": events, **rest}, default=datetime.isoformat))
    return str(path)


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["diff", *arguments])
    return code, capsys.readouterr().out


def test_ids_times_and_places_make_no_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = file(tmp_path, "one", story("first"))
    # An answer in reverse order is the same history.
    other = file(tmp_path, "other", story("second", "eu-west-1:210987654321", "/home/ann")[::-1])
    assert compared(capsys, one, other) == (0, "The same, 9 events.\n")


def test_where_they_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = story("second")
    changed[3]["StepSucceededDetails"]["RetryDetails"]["CurrentAttempt"] = 2
    one = file(tmp_path, "one", story("first"))
    other = file(tmp_path, "other", changed)
    code, shown = compared(capsys, one, other)
    assert code == 1
    head = 'StepSucceeded mail {"Result": {"Payload": "\\"answer to <CallbackId 1>, '
    head += 'arn:function:order/<execution>\\""}, "RetryDetails": {"CurrentAttempt": '
    assert shown.splitlines() == [
        f"--- {one}",
        f"+++ {other}",
        "@@ event 1 of 9, 1 of 9 @@",
        '  ExecutionStarted {"Input": {"Payload": "{}"}}',
        '  CallbackStarted ask {"CallbackId": "<CallbackId 1>", "Timeout": 60}',
        "  StepStarted mail",
        f"- {head}1}}}}",
        f"+ {head}2}}}}",
        '  InvocationCompleted {"Error": {"Payload": {"ErrorMessage": '
        '"RequestId: <RequestId 1> Error: exit status 3"}}, "RequestId": "<RequestId 1>"}',
        "  ContextStarted ship",
        '  StepFailed ship/Step {"Error": {"Payload": {"ErrorType": "Refused"}}}',
    ]


def test_an_operation_more_moves_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the one difference, with every later operation still called as before."""
    more = story("second")
    more.insert(5, event(55, "WaitStarted", "w", name="pause", Duration=60))
    one, other = file(tmp_path, "one", story("first")), file(tmp_path, "other", more)
    code, shown = compared(capsys, one, other)
    assert code == 1
    differing = [line for line in shown.splitlines()[2:] if line[0] in "+-"]
    assert differing == ['+ WaitStarted pause {"Duration": 60}']
    assert "@@ event 3 of 9, 3 of 10 @@" in shown


@pytest.mark.parametrize(
    "change",
    [
        lambda events: events[0]["ExecutionStartedDetails"]["Input"].update(Payload="[]"),
        lambda events: events[2].update(Name="post"),
        lambda events: events[6].pop("ParentId"),
        lambda events: events[6].update(SubType="WaitForCondition"),
        lambda events: events[1]["CallbackStartedDetails"].update(Timeout=61),
        lambda events: events[8]["ExecutionSucceededDetails"]["Result"].update(Truncated=True),
        lambda events: events.pop(),
    ],
)
def test_what_makes_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any
) -> None:
    changed = story("second")
    change(changed)
    one, other = file(tmp_path, "one", story("first")), file(tmp_path, "other", changed)
    assert compared(capsys, one, other)[0] == 1


def test_operations_of_one_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def steps(*ids: str) -> list[Event]:
        kinds = ["StepStarted", "StepStarted", "StepSucceeded"]
        return [
            event(number, kind, id, name="s")
            for number, (kind, id) in enumerate(zip(kinds, ids, strict=True))
        ]

    one, other = file(tmp_path, "one", steps(*"aba")), file(tmp_path, "other", steps(*"xyy"))
    code, shown = compared(capsys, one, other)
    assert code == 1
    assert "- StepSucceeded s\n+ StepSucceeded s 2\n" in shown


def test_operations_without_names_go_by_their_kinds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def unnamed(duration: int) -> list[Event]:
        return [
            event(1, "StepStarted", "a", subType="Step"),
            event(2, "ContextStarted", "b", subType="Map"),
            event(3, "WaitStarted", "c", parent="b", Duration=duration),
        ]

    for each in (one := unnamed(1)), (other := unnamed(2)):
        for shape in each[:2]:
            shape["SubType"] = shape.pop("Subtype")
    files = file(tmp_path, "one", one), file(tmp_path, "other", other)
    assert compared(capsys, *files)[1].splitlines()[3:] == [
        "  StepStarted Step",
        "  ContextStarted Map (Map)",
        '- WaitStarted Map/Wait {"Duration": 1}',
        '+ WaitStarted Map/Wait {"Duration": 2}',
    ]


def test_executions_that_were_invoked_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def invoking(run: str, named: int) -> list[Event]:
        arn = "arn:aws:lambda:us-east-1:123456789012:function:pay:1/durable-execution"
        arns = [f"{arn}/{run}/{run}-{number}" for number in range(2)]
        started = (
            event(n, "ChainedInvokeStarted", str(n), DurableExecutionArn=each)
            for n, each in enumerate(arns)
        )
        return [*started, event(9, "ExecutionSucceeded", "e", Result={"Payload": arns[named]})]

    first = file(tmp_path, "one", invoking("first", 0))
    for named, code in ((0, 0), (1, 1)):
        other = file(tmp_path, "other", invoking("second", named))
        assert compared(capsys, first, other)[0] == code


def test_nothing_is_the_same_as_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    none = file(tmp_path, "none", [])
    assert compared(capsys, none, none) == (0, "The same, 0 events.\n")
    with_null = event(1, "WaitStarted", "w", Duration=1, Comment=None)
    one = file(tmp_path, "one", [event(1, "WaitStarted", "w", Duration=1)])
    assert compared(capsys, one, file(tmp_path, "other", [with_null]))[0] == 0


def test_long_after_they_have_parted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def steps(second: str) -> list[Event]:
        names = [second if number % 10 == 0 else "same" for number in range(100)]
        return [event(n, "StepStarted", str(n), name=name) for n, name in enumerate(names)]

    one, other = file(tmp_path, "one", steps("a")), file(tmp_path, "other", steps("b"))
    code, shown = compared(capsys, one, other)
    assert code == 1
    assert shown.count("@@ event") == 5
    assert shown.endswith("They part in 5 more places.\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "is not what `aws lambda get-durable-execution-history` prints"),
        ('{"Events": [{}]}', "is not what"),
        ('{"Events": [], "NextMarker": "x"}', "only a part of its history"),
        ('{"Events": [], "NextToken": "x"}', "only a part of its history"),
    ],
)
def test_what_is_no_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    other = tmp_path / "other"
    if text is not None:
        other.write_text(text)
    assert main(["diff", file(tmp_path, "one", [STARTED]), str(other)]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"durable-runner diff: {other}")
    assert said in message


def test_it_takes_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["diff", "one"])
    assert "CLOUD" in capsys.readouterr().err
