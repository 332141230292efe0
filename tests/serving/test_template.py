"""SAM and CloudFormation templates as a source of functions."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from async_durable_execution_runner import InvalidConfiguration
from async_durable_execution_runner.core.model import DEFAULT_PLACE, Place
from async_durable_execution_runner.serving import template
from async_durable_execution_runner.serving.functions_file import FunctionConfig
from async_durable_execution_runner.serving.template import read

SAM = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: test}
  Table: {Type: String}
Mappings:
  Sizes:
    test: {memory: 512}
Conditions:
  IsTest: !Equals [!Ref Stage, test]
  IsLive: !Not [!Condition IsTest]
Globals:
  Function:
    Timeout: 30
    Environment:
      Variables: {STAGE: !Ref Stage, SHARED: "yes"}
Resources:
  PlaceOrder:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${AWS::StackName}-place-order"
      Handler: orders.place.handler
      CodeUri: src/
      MemorySize: !FindInMap [Sizes, !Ref Stage, memory]
      AutoPublishAlias: live
      DurableConfig: {ExecutionTimeout: 3600, RetentionPeriodInDays: 7}
      LoggingConfig: {LogFormat: JSON}
      Environment:
        Variables:
          SHARED: "no"
          CHARGE: !GetAtt Charge.Arn
          CHARGE_NAME: !Ref Charge
          URL: !Sub ["https://${host}/${Stage}/${!literal}", {host: !Join [".", [a, b]]}]
          ORDERS: !GetAtt Orders.Arn
          TABLE: !Ref Table
          PART: !Select [1, !Split [",", "x,y"]]
          MODE: !If [IsTest, dry, wet]
          GONE: !If [IsLive, here, !Ref AWS::NoValue]
          DEBUG: true
          COUNT: 3
  Charge:
    Type: AWS::Lambda::Function
    Properties: {Handler: charge.handler, Code: charge}
  OnlyLive:
    Type: AWS::Serverless::Function
    Condition: IsLive
    Properties: {Handler: live.handler}
  Orders: {Type: AWS::DynamoDB::Table}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "template.yaml"
    path.write_text(text)
    return path


def test_a_template_with_all_that_usually_stands_in_one(tmp_path: Path):
    order, charge = read(write(tmp_path, SAM), DEFAULT_PLACE)
    assert order == FunctionConfig(
        name="local-place-order",
        handler="orders.place.handler",
        code=tmp_path / "src",
        timeout=30,
        memory=512,
        execution_timeout=3600,
        retention_days=7,
        environment={
            "STAGE": "test",
            "SHARED": "no",
            "CHARGE": "arn:aws:lambda:us-east-1:123456789012:function:Charge",
            "CHARGE_NAME": "Charge",
            "URL": "https://a.b/test/${literal}",
            "ORDERS": "<Orders.Arn>",
            "TABLE": "<Table>",
            "PART": "y",
            "MODE": "dry",
            "DEBUG": "true",
            "COUNT": "3",
        },
        log_format="JSON",
        aliases=("live",),
    )
    # What Lambda takes where nothing is said; globals are SAM's.
    assert charge == FunctionConfig(
        "Charge", "charge.handler", code=tmp_path / "charge", timeout=3, memory=128
    )


def test_the_long_forms_and_json(tmp_path: Path):
    text = """{"Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {
        "Handler": {"Fn::Join": [".", ["m", "h"]]}, "CodeUri": ".",
        "Environment": {"Variables": {"R": {"Ref": "AWS::Region"}}}}}}}"""
    (function,) = read(write(tmp_path, text), DEFAULT_PLACE)
    assert (function.handler, function.environment) == ("m.h", {"R": "us-east-1"})


def test_a_template_is_read_as_in_its_place(tmp_path: Path):
    text = SAM.replace("DEBUG: true", "DEBUG: !Sub '${AWS::Region} ${AWS::AccountId}'")
    order, _ = read(write(tmp_path, text), Place("eu-west-1", "210987654321"))
    assert order.environment["CHARGE"] == "arn:aws:lambda:eu-west-1:210987654321:function:Charge"
    assert order.environment["DEBUG"] == "eu-west-1 210987654321"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "a: 1\n b: 2",
            r"template.yaml is not YAML: mapping values are not allowed here "
            r"\(at line 2, column 3\)\.$",
        ),
        ("a: \x00", r"is not YAML: unacceptable character #x0000: special .* position 3\.$"),
        (
            "Resources: {F: {Type: AWS::Serverless::Function, Properties: "
            "{Handler: m.h, FunctionName: !Sub '${Stage}-f'}}}",
            "template.yaml, F: '<Stage>-f' is not a function's name",
        ),
        (
            "Resources: {F: {Type: AWS::Serverless::Function, Properties: "
            "{Handler: m.h, AutoPublishAlias: 7}}}",
            "template.yaml, F: '7' is not an alias",
        ),
        (
            "Resources: {F: {Type: AWS::Serverless::Function, Properties: "
            "{Handler: m.h, LoggingConfig: {LogFormat: !Ref Format}}}}",
            "template.yaml, F: '<Format>' is neither JSON nor Text",
        ),
        ("just text", "is not a template: it has no Resources"),
        ("Resources: {T: {Type: AWS::DynamoDB::Table}}", "has no AWS::Serverless::Function"),
        ("Resources: {F: {Type: AWS::Lambda::Function}}", "template.yaml, F: it has no Handler"),
        (
            "Resources: {F: {Type: AWS::Lambda::Function, Properties: "
            "{Handler: m.h, Code: {S3Bucket: b}}}}",
            "its code must be a folder",
        ),
        (
            "Resources: {F: {Type: AWS::Serverless::Function, Properties: {PackageType: Image}}}",
            "only functions with code in a folder",
        ),
        (
            "Resources: {F: {Type: AWS::Serverless::Function, Properties: "
            "{Handler: m.h, Timeout: soon}}}",
            "could not convert string to float: 'soon'",
        ),
    ],
)
def test_what_cannot_be_served_is_named(tmp_path: Path, text: str, complaint: str):
    with pytest.raises(InvalidConfiguration, match=complaint) as raised:
        read(write(tmp_path, text), DEFAULT_PLACE)
    assert "\n" not in str(raised.value)


def test_a_template_that_is_not_there(tmp_path: Path):
    with pytest.raises(InvalidConfiguration, match="cannot be read: No such file"):
        read(tmp_path / "missing.yaml", DEFAULT_PLACE)


_TEN = ", ".join(["*{0}"] * 10)
_LAUGHS = "a0: &a0 [ha]\n" + "".join(
    f"a{n}: &a{n} [{_TEN.format(f'a{n - 1}')}]\n" for n in range(1, 12)
)
_SUBS = "s0: &s0 ha\n" + "".join(
    f's{n}: &s{n} !Sub ["{"${A}" * 10}", {{A: *s{n - 1}}}]\n' for n in range(1, 12)
)
_ANDS = "c0: &c0 !Equals [1, 1]\n" + "".join(
    f"c{n}: &c{n} !And [{_TEN.format(f'c{n - 1}')}]\n" for n in range(1, 12)
)
_F = "Resources:\n  F:\n    Type: AWS::Lambda::Function\n"


# The slowest takes a second of processor time, which a busy machine may stretch to more than ten.
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"{_LAUGHS}{_F}    Properties: {{Handler: a.b, Code: *a11}}", "stands for more than"),
        (f"{_SUBS}{_F}    Properties: {{Handler: a.b, Code: *s11}}", "stands for more than"),
        (f"{_ANDS}Conditions: {{C: *c11}}\n{_F}    Condition: C", "stands for more than"),
        (
            f"{_LAUGHS}Parameters: {{P: {{Default: *a11}}}}\n{_F}    Properties: {{Code: !Ref P}}",
            "no Handler",
        ),
        ("[" * 50_000, "nested too deeply"),
        ("{a: " * 50_000, "nested too deeply"),
        (f"{_F}    Properties: &p {{Handler: a.b, Code: [*p]}}", "refers to itself"),
        (
            f"Conditions: {{A: !Condition B, B: !Condition A}}\n{_F}    Condition: A",
            "refers to itself",
        ),
        (f"{_F}    Properties: {{Handler: a.b, FunctionName: !Ref F}}", "refers to itself"),
        (f"{_F}    Properties: [Handler]", "is not a template"),
        (f"Conditions: [A]\n{_F}    Condition: A", "is not a template"),
        (f"{_F}    Properties: {{Handler: !Select [3, [a, b]]}}", "is not a template"),
        (f"{_F}    Properties: {{Handler: !FindInMap [A, B, C]}}", "is not a template"),
        (f"{_F}    Properties: {{Handler: a.b, Timeout: 0x{'f' * 4000}}}", "is too large"),
        (f"{_F}    Properties: {{Handler: a.b, Timeout: 1{':59' * 3000}}}", "is too large"),
        (f"{_F}    Properties: {{Handler: a.b, MemorySize: .inf}}", "is too large"),
    ],
    ids=[
        "laughs",
        "subs",
        "ands",
        "default",
        "lists",
        "mappings",
        "alias",
        "conditions",
        "own name",
        "properties",
        "list of conditions",
        "select",
        "map",
        "hexadecimal",
        "sexagesimal",
        "infinity",
    ],
)
def test_what_means_no_good_is_one_sentence_at_once(tmp_path: Path, text: str, complaint: str):
    path, began = write(tmp_path, text), time.process_time()
    with pytest.raises(InvalidConfiguration) as refusal:
        read(path, DEFAULT_PLACE)
    assert complaint in str(refusal.value)
    assert len(str(refusal.value)) < 1000
    # Some would take for ever.
    assert time.process_time() - began < 5


def test_a_template_of_very_many_values_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(template, "_MOST_VALUES", 1000)
    path = write(tmp_path, f"a: [{'[],' * 998} '")
    with pytest.raises(InvalidConfiguration) as refusal:
        read(path, DEFAULT_PLACE)
    assert str(refusal.value) == f"{path} has more than 1,000 values."
