"""What `run` and `explore` have beside a handler: chained functions, answered callbacks."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from async_durable_execution_runner.cli.main import main

pytestmark = pytest.mark.processes

SHOP = """
import os
from datetime import timedelta
from pathlib import Path
from async_durable_execution import durable_execution, invoke, step, wait, wait_for_callback

async def submit():
    pass

async def twice():
    with open("charges", "a") as charges:
        charges.write("x")
    return Path("charges").read_text()

@durable_execution
async def order(event):
    price = await invoke("price", event, name="price")
    await wait(timedelta(days=2), name="cooling-off")
    approval = await wait_for_callback(submit, name="approval")
    return [price, approval]

@durable_execution
async def careless(event):
    return [await step(twice, name="charge"), await invoke("price", event, name="price")]

@durable_execution
async def quick(event):
    await wait(timedelta(days=2))
    return 7

def price(event, context):
    return event["n"] + 1
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a_shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("shop")
def test_a_run_has_chained_functions_and_answers(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--function=price=a_shop:price", "--callback=approval=yes", '--input={"n": 6}']
    assert main(["run", "a_shop:order", *given]) == 0
    assert '[7, "yes"]' in capsys.readouterr().out


@pytest.mark.usefixtures("shop")
def test_an_exploration_says_which_command_shows_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--function=price=a_shop:price", '--input={"n": 6}', "--workers=2"]
    assert main(["explore", "a_shop:careless", *given]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    command = shlex.split(last.removeprefix("To see one again: "))
    assert command[:5] == ["durable-runner", "run", "a_shop:careless", "--input", '{"n": 6}']
    assert command[5:8] == ["--function", "price=a_shop:price", "--fault"]
    assert command[8].startswith("kill@")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("verb", ["run", "explore"])
def test_an_answer_that_nothing_asks_for_is_told_at_once(
    capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    given = ["--function=price=a_shop:price", '--input={"n": 6}', "--workers=2", "--timeout=600"]
    assert main([verb, "a_shop:order", *given, "--callback=aproval=yes"]) == 1
    assert "No callback 'aproval' was open (open: 'approval'); " in capsys.readouterr().err


@pytest.mark.usefixtures("shop")
def test_an_answer_for_a_handler_without_callbacks_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["a_shop:quick", "--workers=1", "--callback=x=1"]
    unasked = "No callback 'x' will come: the execution has ended, SUCCEEDED."
    assert main(["run", *given]) == 1
    shown = capsys.readouterr()
    assert "result       7" in shown.out
    assert shown.err == f"durable-runner: {unasked}\n"
    assert main(["explore", *given]) == 1
    assert unasked in capsys.readouterr().out
