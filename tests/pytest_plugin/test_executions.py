"""What the plugin does with executions: fixtures that run them, replays, explorations, reports."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

FLOWS = """
    import time
    from async_durable_execution import durable_execution, step
    from async_durable_execution_runner import ledger

    async def charge():
        ledger.record("charge")

    async def charge_once():
        ledger.record("charge", key="order-1")

    @durable_execution
    async def pay(event):
        print("paying", event["order"])
        await step(charge, name="charge")
        return event["order"]

    @durable_execution
    async def pay_once(event):
        await step(charge_once, name="charge")
        return "paid"

    @durable_execution
    async def hangs(event):
        open(event["fifo"], "w").close()
        time.sleep(100)

    runs = []

    @durable_execution
    async def leans(event):
        runs.append(1)
        await step(charge, name=f"charge {len(runs) if event['warm'] else time.time()}")
"""


def test_fixtures_make_runners_with_the_options_of_the_session(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makeini("[pytest]\ndurable_workers = 1\ndurable_isolation = invocation\n")
    pytester.makepyfile(
        """
        import os, flows, pytest
        from async_durable_execution_runner import DurableFunctionTestRunner, FaultNeverFired

        closed = []

        @pytest.mark.durable(handler=flows.pay, faults="kill@effect:1", isolation="execution")
        def test_marker(durable_runner):
            result = durable_runner.run({"order": 1})
            assert [each.fault for each in result.faults] == ["kill@effect:1"]
            defaults = durable_runner._engine.attachment.defaults
            assert (defaults.isolation.value, defaults.invocation_timeout) == ("execution", 9)

        def test_factory(make_durable_runner, durable_pool):
            first = make_durable_runner(flows.pay)
            second = make_durable_runner(flows.pay_once, isolation="inline", function_name="Once")
            assert first._engine.attachment.workers == 1
            assert first._engine.attachment.defaults.isolation.value == "invocation"
            assert (first.run({"order": 2}).result, second.run().function_name) == ("2", "Once")
            status = durable_pool.status()
            assert (status.pid, status.executions) == (first.status().pid, 2)
            assert os.getpid() in {each.pid for each in status.workers}
            closed.extend([first, second])

        def test_runners_of_the_factory_are_closed(durable_pool):
            assert ["not open" in repr(each) for each in closed] == [True, True]
            assert durable_pool.status().executions == 0
        """
    )
    outcome = pytester.runpytest_subprocess("--durable-invocation-timeout=9")
    outcome.assert_outcomes(passed=3)
    outcome.stdout.no_fnmatch_line("*durable functions*")


def test_every_execution_of_a_suite_is_replayed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import flows, pytest
        from async_durable_execution_runner import (
            AsyncDurableFunctionTestRunner, DurableFunctionTestRunner
        )

        @pytest.mark.durable(handler=flows.pay)
        def test_fixture(durable_runner):
            ways = [
                durable_runner.run({"order": 1}),
                *durable_runner.run_many([{"order": 2}]),
                durable_runner.start({"order": 3}).result(),
            ]
            assert [len(each.invocations) for each in ways] == [2, 2, 2]
            unlike = durable_runner.run({"order": 4}, replay_every_checkpoint=False)
            assert len(unlike.invocations) == 1

        def test_own():
            with DurableFunctionTestRunner(flows.leans, workers=1) as runner:
                runner.run({"warm": False})

        @pytest.mark.durable(handler=flows.pay, isolation="inline")
        def test_inline(durable_runner):
            assert len(durable_runner.run({"order": 1}).invocations) == 1

        async def test_async():
            async with AsyncDurableFunctionTestRunner(flows.leans, workers=1) as runner:
                await (await runner.start({"warm": False})).result()

        @pytest.mark.durable(handler=flows.pay_once)
        def test_explored(crash_report):
            crash_report.assert_ok()
        """
    )
    outcome = pytester.runpytest_subprocess("--durable-replay", "-oasyncio_mode=auto")
    outcome.assert_outcomes(passed=3, failed=2)
    outcome.stdout.fnmatch_lines(["E *NonDeterministicHandler: *"])
    # The error says everything itself.
    assert outcome.outlines.count("not deterministic") == 0
    outcome.stdout.no_fnmatch_line("*- durable functions -*")


def test_crashes_of_marked_tests_are_explored(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import flows, pytest

        def test_not_marked(make_durable_runner):
            assert make_durable_runner(flows.pay).run({"order": 0}).result == "0"

        @pytest.mark.durable(handler=flows.pay)
        class TestPay:
            def test_charges_twice(self, durable_runner):
                for _ in range(2):
                    assert durable_runner.run({"order": 1}).result == "1"

            @pytest.mark.explore_crashes(check=lambda result: result.result == "7")
            def test_check(self, durable_runner):
                assert durable_runner.run({"order": 2}).result == "2"

            def test_with_faults(self, durable_runner):
                durable_runner.run({"order": 3}, faults="kill@effect:1")

            @pytest.mark.durable(handler=flows.pay, isolation="inline")
            def test_inline(self, durable_runner):
                durable_runner.run({"order": 3})

            def test_closed(self, durable_runner):
                durable_runner.run({"order": 3})
                durable_runner.close()

            def test_fails(self, durable_runner):
                assert durable_runner.run({"order": 4}).result == "5"

        @pytest.mark.durable(handler=flows.pay_once)
        def test_charges_once(durable_runner):
            assert durable_runner.run().result == '"paid"'
        """
    )
    outcome = pytester.runpytest_subprocess("--durable-explore", "--junitxml=junit.xml")
    outcome.assert_outcomes(passed=5, failed=3)
    outcome.stdout.fnmatch_lines_random(
        [
            "The test has passed, but not the exploration of its crashes.",
            "pay · 5 crash points explored: 3 passed, 2 failed *",
            "*charge happened twice (in the clean run once)*",
            "To see one again: durable_runner.run({'order': 1}, faults=\"kill@effect:1\")",
            "Nothing was explored: the run without a crash is wrong already.",
            "durable functions: 10 crash points of 2 tests explored; 4 tests with the marker ran "
            "nothing through run() that can be explored.",
            "E *assert '4' == '5'",
        ]
    )
    # Only the test that failed by itself has a section; each input was explored, and told, once.
    assert outcome.stdout.str().count("- durable functions -") == 1
    assert len(re.findall("5 crash points explored", outcome.stdout.str())) == 1
    xml = (pytester.path / "junit.xml").read_text()
    assert xml.count('<property name="durable_crash_points" value="5"') == 2


def test_a_failed_test_says_what_its_executions_did(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flows=FLOWS)
    pytester.makepyfile(
        """
        import asyncio, os, signal, threading, flows, pytest
        from async_durable_execution_runner import (
            AsyncDurableFunctionTestRunner, DurableFunctionTestRunner
        )

        def test_passes(make_durable_runner):
            make_durable_runner(flows.pay).run({"order": "passes"})

        def test_last(make_durable_runner):
            runner = make_durable_runner(flows.pay)
            runner.run_many([{"order": n} for n in range(20, 30)])
            runner.run({"order": 5}, faults="kill@effect:1")
            assert False

        def test_wrong_ones(make_durable_runner):
            runner = make_durable_runner(flows.pay)
            for name in ("one", "two", "three", "four"):
                runner.run({"none": name})
            runner.run({"order": 6})
            assert False

        def test_own_text(make_durable_runner):
            result = make_durable_runner(flows.pay).run({"order": 7})
            assert result.result == "8", str(result)

        @pytest.mark.durable(handler=flows.pay)
        @pytest.mark.explore_crashes({"order": 9})
        def test_report(crash_report):
            assert crash_report.failed == 0

        @pytest.fixture
        def prepared(make_durable_runner):
            make_durable_runner(flows.pay).run({"order": 10})
            raise OSError("in a fixture")

        def test_set_up(prepared):
            pass

        @pytest.fixture
        def fifo(tmp_path):
            os.mkfifo(tmp_path / "fifo")
            return str(tmp_path / "fifo")

        def test_times_out(make_durable_runner, fifo):
            def when_it_runs():
                open(fifo).read()
                os.kill(os.getpid(), signal.SIGALRM)

            # As pytest-timeout does.
            before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("too late"))
            threading.Thread(target=when_it_runs).start()
            try:
                make_durable_runner(flows.hangs, function_name="Run").run({"fifo": fifo})
            finally:
                signal.signal(signal.SIGALRM, before)

        def test_not_waited_for(fifo):
            with DurableFunctionTestRunner(flows.hangs, function_name="Started") as runner:
                runner.start({"fifo": fifo})
                open(fifo).read()
                assert False

        @pytest.mark.asyncio
        async def test_cancelled(fifo):
            runner = AsyncDurableFunctionTestRunner(flows.hangs, function_name="Cancelled")
            async with runner, asyncio.TaskGroup() as group:
                group.create_task(runner.run({"fifo": fifo}))
                await asyncio.to_thread(lambda: open(fifo).read())
                assert False
        """
    )
    outcome = pytester.runpytest_subprocess("-n1", "-vv", "--junitxml=junit.xml")
    outcome.assert_outcomes(passed=1, failed=7, errors=1)
    shown = [
        line for line in outcome.outlines if re.match("input  .*(order|none)|To see|pay · 5", line)
    ]
    assert shown[0] == 'input        {"order": 10}'
    assert sorted(shown) == sorted(
        [
            'input        {"order": 10}',
            'input        {"order": 5}',
            "To see it again: runner.run({'order': 5}, faults=\"kill@effect:1\")",
            'input        {"none": "four"}',
            'input        {"none": "three"}',
            'input        {"none": "two"}',
            next(line for line in shown if "5 crash points explored: 3 passed, 2 failed" in line),
            "To see one again: runner.run({'order': 9}, faults=\"kill@effect:1\")",
        ]
    )
    assert outcome.stdout.str().count("- durable functions -") == 7
    for name in ("Run", "Started", "Cancelled"):
        outcome.stdout.fnmatch_lines(
            [f"{name} · PENDING · 1 invocation", "waiting for *; stuck*: time.sleep(100)"]
        )
    outcome.stdout.fnmatch_lines(["     | paying 5", "kill@effect:1 *1 *charge*"])
    xml = (pytester.path / "junit.xml").read_text()
    assert xml.count('<property name="durable_functions" value="pay · ') == 4
    assert "└─ step charge" in xml
