"""The rows of the table: one function for each, which measures it once under one setting."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import environments
import handlers
import http_rate
import latency
from programs import Load, output_of, session
from table import Measured, compared, in_turns, median_of

from async_durable_execution_runner import DurableFunctionTestRunner

#: Bytes of a one-step checkpoint on the wire: two updates with 64-character ids.
_CHECKPOINT_BYTES = 330


@dataclass(frozen=True)
class Bench:
    """Under what a row is measured."""

    #: How many turns are taken. Rows that take no time take more.
    turns: int
    #: What `GRPC_EXPERIMENTS` is set to; None: it is not set.
    grpc_experiments: str | None
    #: The commit that is compared with.
    against: str

    def load(self, runner: str, handler: str, log: str = "") -> Load:
        python = environments.of_aws_runner() if runner == "aws" else sys.executable
        return Load(python, runner, handler, self.grpc_experiments, log)

    def load_before(self, handler: str) -> Load:
        python = environments.of_commit(self.against)
        return Load(python, "pool", handler, self.grpc_experiments)


@dataclass(frozen=True)
class Row:
    what: str
    measure: Callable[[Bench], Measured]
    bar: float
    #: Whether the bar is the least that is wanted, not the most.
    least: bool
    #: Whether it is measured under each setting of gRPC.
    each_setting: bool


ROWS: list[Row] = []


def row(
    what: str,
    *,
    at_most: float | None = None,
    at_least: float = 0,
    each_setting: bool = False,
) -> Callable[[Callable[[Bench], Measured]], Callable[[Bench], Measured]]:
    """Make a row of the function that measures it.

    Args:
        what: The label.
        at_most: The bar, where less is better.
        at_least: The bar, where more is better.
        each_setting: Whether it is measured under each setting of gRPC, not only the first.
    """

    def add(measure: Callable[[Bench], Measured]) -> Callable[[Bench], Measured]:
        least = at_most is None
        bar = at_least if at_most is None else at_most
        ROWS.append(Row(what, measure, bar, least, each_setting))
        return measure

    return add


@row("checkpoint round trip, against the bare gRPC echo", at_most=1.5, each_setting=True)
def round_trip(bench: Bench) -> Measured:
    with bench.load("pool", "timed_checkpoints") as ours:
        ours.ask(1, 100)
        turn = in_turns(
            lambda: float(ours.ask(1, 400).result),
            lambda: output_of(
                "echo.py", _CHECKPOINT_BYTES, 400, grpc_experiments=bench.grpc_experiments
            ),
            bench.turns,
        )
    return compared(*turn)


@row("one step, warm, against the SDK's runner", at_most=2.5, each_setting=True)
def one_step(bench: Bench) -> Measured:
    return _beside_the_sdk(bench, 1, bench.turns * 7)


@row("1000 steps, against the SDK's runner", at_most=1.6, each_setting=True)
def thousand_steps(bench: Bench) -> Measured:
    return _beside_the_sdk(bench, 1000, bench.turns)


def _beside_the_sdk(bench: Bench, steps: int, times: int) -> Measured:
    with bench.load("pool", "steps") as ours, bench.load("sdk", "steps") as sdk:
        ours.ask(20, 20)
        sdk.ask(20, 20)
        turn = in_turns(
            lambda: ours.ask(1, steps).seconds, lambda: sdk.ask(1, steps).seconds, times
        )
    return compared(*turn)


@row("10,000 steps, against 1000", at_most=11)
def ten_thousand_steps(bench: Bench) -> Measured:
    with bench.load("pool", "steps") as ours:
        ours.ask(20, 20)
        # As many steps on either side, for the machine to have the time to change its pace.
        turn = in_turns(
            lambda: ours.ask(1, 10_000).seconds,
            lambda: fmean(ours.ask(1, 1000).seconds for _ in range(10)),
            bench.turns,
        )
    return compared(*turn)


@row(
    "200 executions of 5 steps and a wait, against the SDK's runner", at_most=1.0, each_setting=True
)
def executions(bench: Bench) -> Measured:
    with bench.load("pool", "steps_and_wait") as ours, bench.load("sdk", "steps_and_wait") as sdk:
        ours.ask(20, 20)
        sdk.ask(20, 20)
        turn = in_turns(
            lambda: ours.ask(200, 5).seconds, lambda: sdk.ask(200, 5).seconds, bench.turns
        )
    return compared(*turn)


@row("each of those 200, against each of 8 in AWS's runner", at_least=25, each_setting=True)
def executions_at_aws(bench: Bench) -> Measured:
    with bench.load("pool", "steps_and_wait") as ours, bench.load("aws", "steps_and_wait") as aws:
        ours.ask(20, 20)
        aws.ask(1, 5)
        turn = in_turns(
            lambda: ours.ask(200, 5).seconds / 200, lambda: aws.ask(8, 5).seconds / 8, bench.turns
        )
    return compared(*turn, inverse=True)


@row(
    "processor time of each of those 200, against the commit before",
    at_most=1.3,
    each_setting=True,
)
def processor_time(bench: Bench) -> Measured:
    return _processor_times(
        bench, bench.load("pool", "steps_and_wait"), bench.load_before("steps_and_wait")
    )


@row("processor time of each of those 200, log off against debug", at_most=1.0)
def log_off(bench: Bench) -> Measured:
    """What `debug` costs. What the log costs while it is off shows against a commit that has none,
    in the row above."""
    return _processor_times(
        bench,
        bench.load("pool", "steps_and_wait"),
        bench.load("pool", "steps_and_wait", log="debug"),
    )


def _processor_times(bench: Bench, one: Load, other: Load) -> Measured:
    """Of each of 200 executions of 5 steps and a wait."""
    with one, other:
        one.ask(20, 20)
        other.ask(20, 20)
        turn = in_turns(
            lambda: one.ask(200, 5).processor / 200,
            lambda: other.ask(200, 5).processor / 200,
            bench.turns,
        )
    return compared(*turn)


@row(
    "4 test processes, each with 60 of those, against the commit before",
    at_most=1.15,
    each_setting=True,
)
def four_processes(bench: Bench) -> Measured:
    """From their start to their end: a test process has both."""

    def four(start: Callable[[], Load]) -> Callable[[], None]:
        def work() -> None:
            with ExitStack() as stack:
                loads = [stack.enter_context(start()) for _ in range(4)]
                for load in loads:
                    load.order(60, 5)
                for load in loads:
                    load.answer()

        return work

    ours = four(lambda: bench.load("pool", "steps_and_wait"))
    before = four(lambda: bench.load_before("steps_and_wait"))
    before()
    return compared(*in_turns(lambda: seconds(ours), lambda: seconds(before), bench.turns))


@row("suite of 200 such tests at -n 2, against empty and the executions", at_most=1.3)
def suite(bench: Bench) -> Measured:
    """The empty tests are at -n 2 too. The executions are run one after the other by one runner, as
    a test runs its own, and without its start."""
    with bench.load("pool", "steps_and_wait") as one:
        one.ask(20, 20)
        turn = in_turns(
            lambda: _session("ours.py", 2),
            lambda: _session("empty.py", 2) + sum(one.ask(1, 5).seconds for _ in range(200)),
            bench.turns,
        )
    return compared(*turn)


@row("what that suite adds to an empty one at -n 8, against at -n 2", at_most=1.0)
def suite_in_eight(bench: Bench) -> Measured:
    """On two processors eight processes of pytest-xdist, with the SDK, take longer to start than
    two, whatever their tests are."""
    turns = [
        [_session(name, count) for count in (8, 2) for name in ("ours.py", "empty.py")]
        for _ in range(bench.turns)
    ]
    added = [(ours - empty, ours_2 - empty_2) for ours, empty, ours_2, empty_2 in turns]
    return compared(*sorted(added, key=lambda turn: turn[0] / turn[1])[bench.turns // 2])


@row("that suite at -n 2, against the same with AWS's runner", at_least=10)
def suite_at_aws(bench: Bench) -> Measured:
    """Half a minute for each of at most three turns."""
    turn = in_turns(
        lambda: _session("ours.py", 2),
        lambda: session(environments.of_aws_runner(), "aws.py", 2).seconds,
        min(bench.turns, 3),
    )
    return compared(*turn, inverse=True)


def _start_up(count: int) -> Callable[[Bench], Measured]:
    def measure(bench: Bench) -> Measured:
        taken = median_of(
            lambda: (
                _session("ours.py::test_steps_and_wait[0]", count)
                - _session("empty.py::test_nothing[0]", count)
            ),
            bench.turns,
        )
        return Measured(f"{taken:.2f} s", taken)

    return measure


for _count in (0, 2, 8):
    row(f"what a suite of one test adds to an empty one at -n {_count}, in s", at_most=1.0)(
        _start_up(_count)
    )


def _session(suite: str, processes: int) -> float:
    return session(sys.executable, suite, processes).seconds


@row("cold start to the first result, in seconds", at_most=1.0)
def cold_start(bench: Bench) -> Measured:
    taken = median_of(
        lambda: output_of("cold.py", grpc_experiments=bench.grpc_experiments), bench.turns
    )
    return Measured(f"{taken:.2f} s", taken)


@row("worker killed to handler re-entered, in ms", at_most=80)
def recovery(bench: Bench) -> Measured:
    with (
        tempfile.TemporaryDirectory() as folder,
        DurableFunctionTestRunner(handler=handlers.killed_once, workers=1) as runner,
    ):
        taken = statistics.median(
            float(runner.run(input={"marker": os.path.join(folder, str(turn))}).result) * 1000
            for turn in range(bench.turns)
        )
    return Measured(f"{taken:.0f} ms", taken)


@row("memory of a finished 10-step execution, in KiB", at_most=30)
def memory(bench: Bench) -> Measured:
    """By how much a coordinator that has freed nothing yet grows for each of 2000 executions."""
    with DurableFunctionTestRunner(
        handler=handlers.steps, workers=2, listen="127.0.0.1:0"
    ) as runner:
        runner.run_many([{"steps": 10}] * 500)
        pid = runner.status().pid
        before = resident_kib(pid)
        runner.run_many([{"steps": 10}] * 2000)
        kept = (resident_kib(pid) - before) / 2000
    return Measured(f"{kept:.1f} KiB", kept)


@row("coordinator's processor time of a step, 1,000 executions open against 0", at_most=1.15)
def thousand_open(bench: Bench) -> Measured:
    return _beside_open(bench, 1000)


@row("coordinator's processor time of a step, 10,000 executions open against 0", at_most=1.15)
def ten_thousand_open(bench: Bench) -> Measured:
    """A minute, of which most goes by until they are open."""
    return _beside_open(bench, 10_000)


def _beside_open(bench: Bench, count: int) -> Measured:
    """Two coordinators in turns, one of which has `count` executions that wait for a callback."""

    def runner() -> DurableFunctionTestRunner:
        return DurableFunctionTestRunner(
            handler=handlers.steps_or_callback, workers=2, listen="127.0.0.1:0"
        )

    def processor_time(of: DurableFunctionTestRunner) -> float:
        pid = of.status().pid
        before = _ran(pid)
        of.run(input={"steps": 1000})
        return (_ran(pid) - before) / 1000

    with runner() as crowded, runner() as empty:
        opened = [crowded.start(input={"steps": 0}) for _ in range(count)]
        for each in opened:
            each.wait_for_callback(timeout=600)
        processor_time(crowded), processor_time(empty)
        turn = in_turns(
            lambda: processor_time(crowded), lambda: processor_time(empty), bench.turns * 3
        )
    return compared(*turn)


def _ran(pid: int) -> float:
    """The seconds for which the process has run, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _round_trips(what: str, handler: str, steps: int, where: str, at_most: float) -> None:
    @row(f"{what}, in round trips to the {where}", at_most=at_most)
    def measure(bench: Bench) -> Measured:
        """What a delay of 50 ms each way adds."""
        with latency.machines(handler) as machines:
            near, far = in_turns(
                lambda: machines.seconds(where, 0.0, steps, 3),
                lambda: machines.seconds(where, 0.05, steps, 3),
                bench.turns,
            )
        trips = (far - near) / 0.1
        return Measured(f"{far * 1000:.0f} / {near * 1000:.0f} ms", trips)


# Each step is a checkpoint that has an answer, and so is the wait; an invocation costs half a round
# trip to begin with, and another half to end with. A packet is a little late, too.
for _where, _least in (("worker host", (8, 21)), ("client", (1, 1))):
    _round_trips("5 steps and a wait", "steps_and_wait", 5, _where, _least[0] * 1.25)
    _round_trips("20 steps", "steps", 20, _where, _least[1] * 1.25)


@row("GetDurableExecution over HTTP, per second", at_least=1000)
def requests(bench: Bench) -> Measured:
    rate = http_rate.measure(2000, bench.turns)
    return Measured(f"{rate:.0f}/s", rate)


def seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])
