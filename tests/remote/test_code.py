"""The code that worker hosts have: what changes there, and what differs."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from async_durable_execution_runner import DurableFunctionTestResult
from async_durable_execution_runner.errors import WorkersUnavailable

from .team import COMMAND, LIMIT, DurableFunctionTestRunner, Team, coordinator, worker_host

pytestmark = pytest.mark.processes

#: A Python in whose environment there is another release of the SDK.
OTHER = os.environ.get("OTHER_SDK_PYTHON", "")
SDK = version("async-durable-execution")
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


ORDER = """
from datetime import timedelta
from async_durable_execution import durable_execution, step, wait
from async_durable_execution_runner import ledger

def charge(order_id):
    async def body():
        ledger.record("charge", key=order_id)
        return "paid"
    return body

@durable_execution
async def order(event):
    paid = await step(charge(event["id"]), name="charge")
    await wait(timedelta(days=1), name="cooling-off")
    await wait(timedelta(days=14), name="withdrawal")
    return paid
"""
#: The same from other lines.
COMPATIBLE = "# Says more." + ORDER
#: What is recorded under one name is asked for under another.
INCOMPATIBLE = ORDER.replace('name="withdrawal"', 'name="reflection"')


def where(runner: DurableFunctionTestRunner, result: DurableFunctionTestResult) -> list[str]:
    """The label "code" of the worker host of each invocation."""
    status = runner.status()
    labels = {each.host_id: each.labels for each in status.hosts}
    hosts = {each.worker_id: each.host_id for each in status.workers}
    return [labels[hosts[each.worker_id]]["code"] for each in result.invocations]


def test_an_execution_goes_on_with_new_code_at_every_suspension(
    team: Team, here: Path, tmp_path: Path
) -> None:
    old, good, bad = (tmp_path / name for name in ("old", "good", "bad"))
    write("orders.py", ORDER, old)
    write("orders.py", COMPATIBLE, good, here)
    write("orders.py", INCOMPATIBLE, bad)
    variables = team.by_token("worker-host")
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, variables, "--app-dir", old, "--label", "code=old") as first,
        worker_host(address, variables, "--app-dir", good, "--label", "code=good") as second,
        worker_host(address, variables, "--app-dir", bad, "--label", "code=bad") as third,
    ):
        for each in first, second, third:
            each.says("connected to")
        handler = imported("orders").order
        with DurableFunctionTestRunner(
            handler,
            coordinator=address,
            labels={"code": "old"},
            resume_on={"code": "good"},
            invocation_retries=2,
        ) as runner:
            result = runner.run({"id": 1}, timeout=LIMIT)
            assert value(result) == "paid"
            assert where(runner, result) == ["old", "good", "good"]
            # The lines of the one code say nothing of the other's.
            assert result.divergences == []
            later = runner.run({"id": 2}, timeout=LIMIT, resume_after=2)
            assert where(runner, later) == ["old", "old", "good"]

            report = runner.explore_crashes({"id": 3}, timeout=LIMIT)
            report.assert_ok()
            assert [each.resume_after for each in report.runs if not each.faults] == [1, 2]
            assert "crash points and 2 suspensions explored" in str(report)

        with DurableFunctionTestRunner(
            handler, coordinator=address, labels={"code": "old"}, resume_on={"code": "bad"}
        ) as runner:
            report = runner.explore_crashes({"id": 4}, timeout=LIMIT)
        lost = {"code": "lost"}
        with (
            DurableFunctionTestRunner(handler, coordinator=address, resume_on=lost) as runner,
            pytest.raises(WorkersUnavailable, match="no worker host with code=lost"),
        ):
            runner.explore_crashes({"id": 5}, timeout=LIMIT)
        by_suspension = {each.resume_after: each for each in report.runs if not each.faults}
        # A renamed wait fits where it is not recorded yet.
        assert [number for number, each in by_suspension.items() if each.problems] == [2]
        assert by_suspension[2].reproduction == "resume_after=2"
        crashes = [each.faults[0].partition("@")[2] for each in report.failures if each.faults]
        assert crashes == [
            "after-commit:3",
            "invocation-result:2",
            "invocation-start:3",
            "invocation-result:3",
        ]
        text = str(report).splitlines()
        assert text[2:5] == [
            "resume_after=2",
            "    suspended   wait withdrawal",
            f"    went on     with code=bad (SDK {SDK}), in place of code=old (SDK {SDK})",
        ]
        assert text[5] == "    wrong       what is recorded does not fit:"
        assert "recorded: Wait 'withdrawal'" in text[7]
        assert "replayed: Wait 'reflection', orders.py:" in text[8]


@pytest.mark.skipif(
    not OTHER, reason="OTHER_SDK_PYTHON names no Python with another release of the SDK"
)
def test_an_execution_begins_on_one_release_of_the_sdk_and_goes_on_with_another(
    team: Team, here: Path
) -> None:
    write("orders.py", ORDER, here)
    other = [OTHER, "-m", *COMMAND[2:]]
    variables = team.by_token("worker-host")
    with (
        coordinator(*team.server(), *team.tokens()) as address,
        worker_host(address, variables, "--app-dir", here) as first,
        worker_host(address, variables, "--app-dir", here, command=other) as second,
    ):
        first.says("connected to")
        second.says("connected to")
        with DurableFunctionTestRunner(imported("orders").order, coordinator=address) as runner:
            hosts = {each.labels["sdk"] for each in runner.status().hosts}
            older, newer = sorted(hosts, key=lambda text: [int(n) for n in text.split(".")])
        with DurableFunctionTestRunner(
            imported("orders").order,
            coordinator=address,
            labels={"sdk": older},
            resume_on={"sdk": newer},
        ) as runner:
            report = runner.explore_crashes({"id": 1}, timeout=LIMIT)
            report.assert_ok()
    assert report.moved == f"with sdk={newer}, in place of sdk={older}"
    assert [each.resume_after for each in report.runs if not each.faults] == [1, 2]
