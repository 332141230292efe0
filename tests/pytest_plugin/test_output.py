"""Which test has what handlers print and log, where executions overlap tests."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

FLOWS = """
    import logging, subprocess
    from async_durable_execution import create_callback, durable_execution

    log = logging.getLogger("shop")

    @durable_execution
    async def order(event):
        print("printed", event)
        log.info("logged %s", event)
        subprocess.run(["echo", f"echoed {event}"])

    @durable_execution
    async def approval(event):
        print("asks", event)
        log.warning("asks %s", event)
        await (await create_callback(name="approval")).result()
        print("goes on", event)
        log.warning("goes on %s", event)
        open("went_on", "w").close()
"""

TESTS = """
    import asyncio, threading, flows, pytest
    from async_durable_execution_runner import (
        AsyncDurableFunctionTestRunner, DurableFunctionTestRunner
    )

    @pytest.fixture(scope="module")
    def shared():
        with DurableFunctionTestRunner(flows.approval) as runner:
            runner.register_durable_function("order", flows.order)
            yield runner

    class Kept:
        handle = None

    def test_starts(shared, capsys, caplog):
        Kept.handle = shared.start("first")
        Kept.callback = shared.wait_for_callback(Kept.handle)
        assert (capsys.readouterr(), caplog.messages) == (("", ""), [])

    def test_runs_beside_it(shared, capsys, caplog):
        shared.send_callback_success(Kept.callback, "yes")
        open("went_on").read()
        shared.run("second", function_name="order")
        assert capsys.readouterr() == ("printed second\\n", "echoed second\\n")
        assert caplog.messages == ["logged second"]

    def test_asks_for_it(shared, capsys, caplog):
        Kept.handle.result()
        out, err = capsys.readouterr()
        assert set(out.splitlines()) == {"asks first", "goes on first"}
        assert set(caplog.messages) == {"asks first", "goes on first"}
        Kept.handle.result()
        assert capsys.readouterr() == ("", "")

    def test_threads(shared, capfd, caplog):
        def run(number):
            shared.run(number, function_name="order")

        threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        out, err = capfd.readouterr()
        assert sorted(out.split()) == sorted(3 * ["printed"] + ["0", "1", "2"])
        assert sorted(err.split()) == sorted(3 * ["echoed"] + ["0", "1", "2"])
        assert sorted(caplog.messages) == ["logged 0", "logged 1", "logged 2"]

    async def test_tasks(capsys, caplog):
        async with AsyncDurableFunctionTestRunner(flows.order) as runner:
            await asyncio.gather(*(runner.run(number) for number in range(3)))
        assert sorted(capsys.readouterr().out.split()) == sorted(3 * ["printed"] + ["0", "1", "2"])
        assert sorted(caplog.messages) == ["logged 0", "logged 1", "logged 2"]

    def test_fails(shared):
        shared.run("last", function_name="order")
        assert False
"""


@pytest.mark.parametrize(
    "options",
    ["-n1 --show-capture=no", "-pno:xdist -olog_cli=true --capture=tee-sys --log-file=log.txt"],
)
def test_output_is_of_the_test_that_asks_for_the_result(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    xdist = options.startswith("-n1")
    if xdist:
        monkeypatch.setenv("DURABLE_RUNNER_LOG", "info")
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(TESTS)
    os.mkfifo(pytester.path / "went_on")
    outcome = pytester.runpytest_subprocess(
        *options.split(), "-oasyncio_mode=auto", "--log-level=INFO"
    )
    outcome.assert_outcomes(passed=5, failed=1)
    text = outcome.stdout.str()
    # This is no captured output.
    assert text.count("- durable functions -") == 1
    if xdist:
        assert "Captured" not in text
        # The coordinator is the controller's.
        outcome.stderr.fnmatch_lines(["* host *: joined with *"])
    else:
        log = (pytester.path / "log.txt").read_text()
        counts = [log.count(f"logged {each}") for each in ("second", 0, 1, 2, "last")]
        assert counts == [1, 2, 2, 2, 1]
        assert text.count("logged second") == 1
