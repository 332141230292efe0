"""The plugin as a user's test suite sees it: markers, fixtures, what a failure looks like."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

FLOWS = """
    from async_durable_execution import durable_execution, step
    from async_durable_execution_runner import ledger

    async def charge():
        ledger.record("charge")

    @durable_execution
    async def pay(event):
        await step(charge, name="charge")
        return event["order"]
"""

HINT = (
    "patched in this process, but the handler ran in another one, which has the original: "
    "see docs/fakes.md (worker_setup=, env=, a server, isolation='inline')."
)


@pytest.mark.processes
def test_a_marker_names_the_handler_and_the_options(pytester: pytest.Pytester):
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import flows, pytest

        @pytest.mark.durable(flows.pay, workers=1, function_name="Pay")
        def test_pay(durable_runner):
            result = durable_runner.run({"order": 3})
            assert (result.result, result.function_name) == ("3", "Pay")

        @pytest.mark.durable(handler=flows.pay)
        class TestAll:
            def test_pay(self, durable_runner):
                assert durable_runner.run({"order": 4}).result == "4"
        """
    )
    # In a process of its own, as the shared processes of ours are not its to close.
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=2)


@pytest.mark.processes
def test_a_report_of_every_crash_point(pytester: pytest.Pytester):
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import flows, pytest

        def ordered(result):
            assert result.result == "3"

        @pytest.mark.durable(flows.pay, workers=2)
        @pytest.mark.explore_crashes({"order": 3}, check=ordered)
        def test_pay(crash_report):
            assert crash_report.clean.result == "3"
            assert crash_report.explored == 5
            crash_report.assert_ok()
        """
    )
    outcome = pytester.runpytest_subprocess()
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(
        [
            "*pay · 5 crash points explored: 3 passed, 2 failed*",
            '*faults="kill@effect:1"',
            "*charge happened twice (in the clean run once)*",
        ]
    )


@pytest.mark.processes
def test_a_failed_test_that_patched_its_own_process_is_told_so(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    pytester.makepyfile(bank="def charge(): return 'charged'")
    pytester.makepyfile(
        orders="""
        import bank
        from async_durable_execution import durable_execution

        @durable_execution
        async def pay(event):
            return bank.charge()
        """
    )
    pytester.makepyfile(
        """
        from unittest.mock import patch
        import bank, orders, pytest
        from async_durable_execution_runner import DurableFunctionTestRunner

        @pytest.fixture(scope="module")
        def runner():
            with DurableFunctionTestRunner(orders.pay, workers=1) as runner:
                yield runner

        def test_mock(runner):
            with patch("bank.charge", return_value="faked"):
                assert runner.run().result == '"faked"'

        @pytest.fixture
        def faked(monkeypatch):
            monkeypatch.setattr(bank, "NAME", "a constant", raising=False)

        def test_monkeypatch(runner, faked):
            runner.explore_crashes().assert_ok()
            assert False

        def test_inline():
            with patch("bank.charge", return_value="faked"):
                with DurableFunctionTestRunner(orders.pay, isolation="inline") as runner:
                    assert runner.run().result == "other"

        def test_without_a_patch(runner):
            assert runner.run().result == "other"

        def test_surroundings(runner, monkeypatch, tmp_path):
            monkeypatch.setenv("TABLE", "orders")
            monkeypatch.delenv("SHELF")
            monkeypatch.chdir(tmp_path)
            assert runner.run().result == "other"

        def test_that_passes(runner):
            with patch("bank.charge"):
                assert runner.run().result == '"charged"'
        """
    )
    monkeypatch.setenv("SHELF", "top")
    outcome = pytester.runpytest_subprocess("--tb=short")
    outcome.assert_outcomes(failed=5, passed=1)
    hints = ("is patched", "changed after")
    assert [line for line in outcome.outlines if any(each in line for each in hints)] == [
        f"`bank.charge` is {HINT}",
        f"`bank.NAME` is {HINT}",
        "`SHELF`, `TABLE` and the working folder were changed after the runner was opened: "
        "handlers do not see that. Give env=, or change it before: in a fixture that comes before "
        "durable_runner, or above a `with` of your own.",
    ]


def test_cloud_mode_without_a_region_names_its_own_options(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    for name in ("REGION", "DEFAULT_REGION", "PROFILE", "ENDPOINT_URL", "ENDPOINT_URL_LAMBDA"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.durable(handler=len, function_name="order")
        def test_order(durable_runner):
            pass
        """
    )
    outcome = pytester.runpytest_inprocess("--durable-mode=cloud", "-p", "no:xdist")
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(
        ["*as neither --durable-endpoint nor AWS_ENDPOINT_URL_LAMBDA*: give --durable-region, or*"]
    )


@pytest.mark.processes
def test_threads_that_an_inline_handler_leaves_do_not_hold_up_the_end(pytester: pytest.Pytester):
    pytester.makepyfile(
        """
        import asyncio, threading
        import pytest
        from async_durable_execution import durable_execution
        from async_durable_execution_runner import DurableFunctionTestRunner

        def for_ever():
            threading.Event().wait()

        @durable_execution
        async def leaves_a_thread(event):
            threading.Thread(target=for_ever, name="left behind").start()

        @durable_execution
        async def never_returns(event):
            await asyncio.to_thread(for_ever)

        def test_leaves():
            with DurableFunctionTestRunner(leaves_a_thread, isolation="inline") as runner:
                runner.run()

        def test_never_returns():
            with (
                DurableFunctionTestRunner(never_returns, isolation="inline") as runner,
                pytest.raises(TimeoutError),
            ):
                runner.run(timeout=0.5)

        def test_ends():
            pytest.exit("enough", returncode=7)
        """
    )
    outcome = pytester.runpytest_subprocess(timeout=60)
    outcome.assert_outcomes(passed=2)
    assert outcome.ret == 7
    outcome.stderr.fnmatch_lines(
        ["*left threads behind; pytest ends without them:", "left behind", "*in for_ever"]
    )
    outcome.stderr.no_fnmatch_line("MainThread")


def test_a_runner_without_a_handler_is_a_clear_error(pytester: pytest.Pytester):
    pytester.makepyfile("def test_pay(durable_runner): pass")
    outcome = pytester.runpytest_subprocess()
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(
        ["E *UsageError: The fixture durable_runner needs @pytest.mark.durable(handler=...)*"]
    )


def test_a_suite_that_does_not_use_it_does_not_pay_for_it():
    program = (
        "import sys, async_durable_execution_runner.pytest_plugin\n"
        "print([name for name in ('grpc', 'async_durable_execution') if name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert output.stdout == "[]\n"
