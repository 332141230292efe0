"""The file of functions: what it may say, and what is said of one that makes no sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from async_durable_execution_runner import InvalidConfiguration
from async_durable_execution_runner.serving.functions_file import FunctionConfig, of_text, read

WHOLE = """
[functions.PlaceOrder]
handler = "orders.place:handler"
code = "src"
timeout = 60
memory = 256
execution_timeout = 3600
retention_days = 7
environment = { STAGE = "test" }
log_format = "JSON"
aliases = ["prod"]

[functions.Charge]
handler = "charge:Charge.now"
"""


def write(folder: Path, text: str, name: str = "functions.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_all_that_a_function_may_have(tmp_path: Path):
    order, charge = read(write(tmp_path, WHOLE))
    assert order == FunctionConfig(
        name="PlaceOrder",
        handler="orders.place:handler",
        code=tmp_path / "src",
        timeout=60,
        memory=256,
        execution_timeout=3600,
        retention_days=7,
        environment={"STAGE": "test"},
        log_format="JSON",
        aliases=("prod",),
    )
    assert charge == FunctionConfig("Charge", "charge:Charge.now")


def test_json_says_the_same(tmp_path: Path):
    text = json.dumps({"functions": {"Charge": {"handler": "charge:handler", "timeout": 1.5}}})
    assert read(write(tmp_path, text, "functions.json")) == [
        FunctionConfig("Charge", "charge:handler", timeout=1.5)
    ]


@pytest.mark.parametrize(
    ("handler", "module", "attribute"),
    [
        ("orders.place:handler", "orders.place", "handler"),
        ("orders:Orders.place", "orders", "Orders.place"),
        ("orders.place.handler", "orders.place", "handler"),
        ("orders/place.handler", "orders.place", "handler"),
    ],
)
def test_handlers_are_named_as_here_or_as_on_lambda(handler: str, module: str, attribute: str):
    assert FunctionConfig("F", handler).module_and_attribute == (module, attribute)


def test_a_function_in_one_argument():
    assert of_text("F=m:h") == FunctionConfig("F", "m:h")
    for text in ("F", "F=", "=m:h", ""):
        with pytest.raises(InvalidConfiguration, match="not of the form NAME=MODULE:HANDLER"):
            of_text(text)
    with pytest.raises(InvalidConfiguration, match="--function f g=m:h: 'f g' is not a function's"):
        of_text("f g=m:h")


def test_names_as_long_as_lambda_takes_them(tmp_path: Path):
    name, alias = "F_-0" * 16, "1a" * 64
    text = f"functions.{name} = {{handler = 'm:h', aliases = ['{alias}', '-1']}}"
    assert read(write(tmp_path, text)) == [FunctionConfig(name, "m:h", aliases=(alias, "-1"))]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[functions", "is not TOML"),
        ("", r"has no table \[functions.NAME\]"),
        ("functions = 3", r"has no table \[functions.NAME\]"),
        ("[functions]", r"has no table \[functions.NAME\]"),
        ("functions.F = 3", "functions.F: a handler is needed"),
        ("functions.F.timeout = 3", "functions.F: a handler is needed"),
        ("functions.F = {handler = '', timeout = 3}", "handler must be a text"),
        ("functions.F = {handler = 'm:h', time_out = 3}", "'time_out' is not known; there are"),
        ("functions.F = {handler = 'm:h', timeout = 0}", "timeout must be a number of seconds"),
        ("functions.F = {handler = 'm:h', timeout = '3'}", "timeout must be a number of seconds"),
        ("functions.F = {handler = 'm:h', memory = true}", "memory must be a number of MiB"),
        ("functions.F = {handler = 'm:h', environment = {A = 1}}", "environment must be a table"),
        ("functions.F = {handler = 'm:h', log_format = 'XML'}", 'log_format must be "JSON" or'),
        ("functions.F = {handler = 'm:h', aliases = 'prod'}", "aliases must be a list"),
        ("functions.'f g' = {handler = 'm:h'}", "functions.toml, functions.f g: 'f g' is no"),
        (f"functions.{'F' * 65} = {{handler = 'm:h'}}", "Lambda takes 1 to 64 letters"),
        ("functions.'F\\n' = {handler = 'm:h'}", "is not a function's name"),
        (
            "functions.F = {handler = 'm:h', aliases = ['a b']}",
            "functions.F: 'a b' is not an alias",
        ),
        ("functions.F = {handler = 'm:h', aliases = ['p', '17']}", "'17' is not an alias"),
        (f"functions.F = {{handler = 'm:h', aliases = ['{'a' * 129}']}}", "1 to 128 letters"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, text: str, complaint: str):
    with pytest.raises(InvalidConfiguration, match=complaint):
        read(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(InvalidConfiguration, match="cannot be read: No such file"):
        read(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("name", "text"),
    [("functions.toml", "a = " + "[" * 100_000), ("functions.json", '{"a": ' * 100_000)],
)
def test_deep_nesting_is_one_sentence(tmp_path: Path, name: str, text: str):
    with pytest.raises(InvalidConfiguration, match="is nested too deeply"):
        read(write(tmp_path, text, name))
