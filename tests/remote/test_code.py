"""The code that worker hosts have: what changes there, and what differs."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from async_durable_execution_runner import DurableFunctionTestResult

from .team import LIMIT, DurableFunctionTestRunner, Team, coordinator, worker_host

pytestmark = pytest.mark.processes

_changes = itertools.count()
SHOP = """
from pathlib import Path
from async_durable_execution import durable_execution, step
import prices

@durable_execution
async def pay(event):
    async def body():
        before = prices.PRICE
        if event:
            Path(event["begun"]).write_text("begun")
            Path(event["go"]).read_text()
        return [before, prices.PRICE]
    return await step(body, name="pay")
"""


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team(tmp_path_factory.mktemp("team") / "certificates")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, team: Team) -> Iterator[Path]:
    """The test's own folder of code."""
    for name, value in team.by_token("client").items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield folder
    for name, module in list(sys.modules.items()):
        if str(folder) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def write(name: str, text: str, *folders: Path) -> None:
    for folder in folders:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        # All within one second: Python takes bytecode for current by a file's length and second.
        os.utime(folder / name, ns=(0, 1_750_000_000_000_000_000 + next(_changes)))


def imported(name: str) -> ModuleType:
    """The module as its file is now."""
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def value(result: DurableFunctionTestResult) -> object:
    assert result.error is None, result
    return result.get_deserialized_result()


def test_changed_code_runs_from_the_next_invocation_on(
    team: Team, here: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    write("shop.py", SHOP, here, there)
    write("prices.py", "PRICE = 1", here, there)
    # Not as it may be set around the tests.
    variables = {**team.by_token("worker-host"), "PYTHONDONTWRITEBYTECODE": ""}
    begun, go = tmp_path / "begun", tmp_path / "go"
    for fifo in begun, go:
        os.mkfifo(fifo)
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, variables, "--reload", "--app-dir", there) as host,
    ):
        host.says("connected to")
        with DurableFunctionTestRunner(imported("shop").pay, coordinator=address) as runner:
            assert value(runner.run({}, timeout=LIMIT)) == [1, 1]
            held: list[object] = []
            event = {"begun": str(begun), "go": str(go)}
            holder = threading.Thread(
                target=lambda: held.append(value(runner.run(event, timeout=LIMIT)))
            )
            holder.start()
            begun.read_text()
            # Of the same length, as often as it happens.
            for price in 2, 3:
                write("prices.py", f"PRICE = {price}", there)
                assert host.says("Reloaded").endswith("Reloaded: prices.py\n")
                assert value(runner.run({}, timeout=LIMIT)) == [price, price]
            go.write_text("go")
            holder.join(LIMIT)
            assert held == [[1, 1]]
            write("prices.py", "PRICE = (", there)
            sentence = host.says("Not reloaded")
            assert f"Not reloaded: {there / 'prices.py'} cannot be imported: Synta" in sentence
            assert sentence.endswith(
                "What a worker has already goes on with the old code; whatever imports this anew "
                "fails until it is mended.\n"
            )
            write("shop.py", SHOP + "\n", there)
            host.says("Not reloaded")
            assert value(runner.run({}, timeout=LIMIT)) == [3, 3]
        write("prices.py", "PRICE = 4", there)
        write("shop.py", SHOP + "\n", here)
        host.says("Reloaded: prices.py, shop.py")
        with DurableFunctionTestRunner(imported("shop").pay, coordinator=address) as runner:
            assert value(runner.run({}, timeout=LIMIT)) == [4, 4]


def test_a_worker_that_has_other_code_than_its_file_says_so(
    team: Team, here: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    write("shop.py", SHOP, here, there)
    write("prices.py", "PRICE = 1", here, there)
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, team.by_token("worker-host"), "--app-dir", there) as host,
    ):
        host.says("connected to")
        with DurableFunctionTestRunner(imported("shop").pay, coordinator=address) as runner:
            assert value(runner.run({}, timeout=LIMIT)) == [1, 1]
        write("shop.py", SHOP + "\n", here, there)
        with DurableFunctionTestRunner(
            imported("shop").pay, coordinator=address, invocation_retries=0
        ) as runner:
            error = runner.run({}, timeout=LIMIT).error
    assert error is not None
    assert "Module shop has changed since a worker imported it" in str(error.message)
    assert "with --reload" in str(error.message)
