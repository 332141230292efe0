"""Measure the runner beside the SDK's own local runner and the bare transport, in one run.

    python tests/benchmarks

Prints a table of ratios with their bars. The figures of one line come from the same
minute of the same machine; absolute times are there to be read, not to be compared. Those
against a number of seconds depend on the interpreter's build: one that was compiled without
`--enable-optimizations`, as pyenv does unless told otherwise, takes a third longer.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent))

import echo
import handlers
import http_rate

from async_durable_execution_runner import DurableFunctionTestRunner

#: Bytes of a one-step checkpoint on the wire: two updates with 64-character ids.
_CHECKPOINT_BYTES = 330

_COLD = """
import time; began = time.perf_counter()
import sys; sys.path.insert(0, {folder!r})
import handlers
from async_durable_execution_runner import DurableFunctionTestRunner
with DurableFunctionTestRunner(handler=handlers.steps, workers=1) as runner:
    assert runner.run(input={{"steps": 1}}).result == "1"
    print(time.perf_counter() - began)
"""


def median(measure: Callable[[], float], times: int) -> float:
    return statistics.median(measure() for _ in range(times))


def in_turns(
    mine: Callable[[], float], theirs: Callable[[], float], times: int
) -> tuple[float, float]:
    """Both measured in turns, so that both see the same machine; the turn of the median ratio."""
    turns = [(mine(), theirs()) for _ in range(times)]
    return sorted(turns, key=lambda turn: turn[0] / turn[1])[times // 2]


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def sdk_runner(steps: int) -> float:
    """Seconds that the SDK's local runner takes, its set-up included."""
    from async_durable_execution import create_local_runner

    async def run() -> None:
        async with create_local_runner(
            handler=handlers.steps, input={"steps": steps}, poll_interval=0.001
        ) as runner:
            result = await runner.run()
            assert result.result == str(steps)

    return seconds(lambda: asyncio.run(run()))


class Table:
    def __init__(self) -> None:
        self.missed = 0
        print(f"Python {sys.version} on {os.cpu_count()} processors")
        print(f"{'what':<58}{'measured':>22}{'ratio':>9}{'bar':>9}")

    def row(self, what: str, measured: str, ratio: float, bar: float, least: bool = False) -> None:
        good = ratio >= bar if least else ratio <= bar
        self.missed += not good
        mark = "" if good else "  MISSED"
        sign = ">=" if least else "<="
        print(f"{what:<58}{measured:>22}{ratio:>9.2f}{sign:>4}{bar:>5g}{mark}", flush=True)


def main() -> int:
    table = Table()
    with DurableFunctionTestRunner(handler=handlers.steps, workers=2) as runner:

        def ours(steps: int) -> float:
            return seconds(lambda: _check(runner.run(input={"steps": steps}), str(steps)))

        _warm(runner)
        mine, theirs = in_turns(lambda: ours(1), lambda: sdk_runner(1), 51)
        table.row("one step, warm, against the SDK runner", _ms(mine, theirs), mine / theirs, 4)
        mine, theirs = in_turns(lambda: ours(1000), lambda: sdk_runner(1000), 9)
        table.row("1000 steps, against the SDK runner", _ms(mine, theirs), mine / theirs, 1.5)
        # As many steps on either side, for the machine to have the time to change its pace.
        long, short = in_turns(
            lambda: ours(10_000), lambda: fmean(ours(1000) for _ in range(10)), 5
        )
        table.row("10,000 steps, against 1,000", _ms(long, short), long / short, 11)

    with DurableFunctionTestRunner(handler=handlers.timed_checkpoints, workers=1) as runner:
        runner.run(input={"steps": 100})
        trip, bare = in_turns(
            lambda: float(runner.run(input={"steps": 400}).result),
            lambda: echo.measure(_CHECKPOINT_BYTES, 400),
            5,
        )
        table.row("checkpoint round trip, against a bare echo", _ms(trip, bare), trip / bare, 1.6)

    with DurableFunctionTestRunner(handler=handlers.steps_and_wait, workers=2) as runner:
        _warm(runner)
        taken = median(lambda: seconds(lambda: runner.run_many([{"steps": 5}] * 200)), 9)
        table.row(
            "200 executions of 5 steps and a wait, against 100 ms each",
            f"{taken:.2f} s / 20 s",
            20 / taken,
            25,
            least=True,
        )

    cold = median(_cold_start, 5)
    table.row("first result from a cold start, in seconds", f"{cold:.2f} s", cold, 1.0)

    with (
        tempfile.TemporaryDirectory() as folder,
        DurableFunctionTestRunner(handler=handlers.killed_once, workers=1) as runner,
    ):
        recoveries = [
            float(runner.run(input={"marker": os.path.join(folder, str(n))}).result) * 1000
            for n in range(11)
        ]
    recovery = statistics.median(recoveries)
    table.row("worker killed to handler re-entered, in ms", f"{recovery:.0f} ms", recovery, 80)

    rate, _ = http_rate.measure(8000)
    table.row("GetDurableExecution over HTTP, per second", f"{rate:.0f}/s", rate, 1000, least=True)

    kept = _memory_kept()
    table.row("memory of a finished 10-step execution, in KiB", f"{kept:.1f} KiB", kept, 30)
    return table.missed


def _warm(runner: DurableFunctionTestRunner) -> None:
    runner.run_many([{"steps": 20}] * 20)


def _check(result, expected: str) -> None:
    assert result.result == expected, result.describe()


def _ms(mine: float, theirs: float) -> str:
    return f"{mine * 1000:.2f} / {theirs * 1000:.2f} ms"


def _cold_start() -> float:
    program = _COLD.format(folder=str(Path(__file__).parent))
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return float(output.stdout)


def _memory_kept() -> float:
    """KiB by which a coordinator that has freed nothing yet grows for each of 2000 executions."""
    with DurableFunctionTestRunner(
        handler=handlers.steps, workers=2, listen="127.0.0.1:0"
    ) as runner:
        runner.run_many([{"steps": 10}] * 500)
        pid = runner.status().pid
        before = _resident_kib(pid)
        runner.run_many([{"steps": 10}] * 2000)
        return (_resident_kib(pid) - before) / 2000


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


if __name__ == "__main__":
    sys.exit(main())
