"""How far one coordinator goes: its checkpoints per second, and how many executions it holds open.

    python one_coordinator.py OPEN ...

Prints a line for each number of open executions, such as 0 1000 10000 100000. The load comes from
`flood.py`, which costs less than a coordinator does and takes another core.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

import handlers
from flood import CLIENT_TOKEN, HOST_TOKEN, Flood, coordinator, flooding
from rows import Bench, resident_kib, row
from table import Measured, compared, in_turns

from async_durable_execution_runner import DurableFunctionTestRunner

#: As many as keep the coordinator busy, whose core they do not share.
_SESSIONS = 16
_CHECKPOINTS = 300
#: How many executions are being started at once.
_STARTS = 8


class Standing:
    """A coordinator, with a flood in place of its worker hosts."""

    def __init__(self, runner: DurableFunctionTestRunner, ask: Callable[[int], Flood], pid: int):
        self._runner = runner
        self._ask = ask
        self.pid = pid
        self.open = 0

    def flood(self) -> Flood:
        """What the checkpoints of one execution for each session take."""
        handles = [self._runner.start(input=1) for _ in range(_SESSIONS)]
        flood = self._ask(_CHECKPOINTS)
        for handle in handles:
            handle.result(timeout=60)
        return flood

    def open_up_to(self, count: int) -> None:
        """Start executions that wait for a callback, until so many are open."""

        def start(_: int) -> None:
            self._runner.start(input=0).wait_for_callback(timeout=600)

        with ThreadPoolExecutor(_STARTS) as threads:
            list(threads.map(start, range(self.open, count)))
        self.open = count


@contextmanager
def standing() -> Iterator[Standing]:
    os.environ["DURABLE_RUNNER_TOKEN"] = CLIENT_TOKEN
    with (
        coordinator() as (address, pid),
        DurableFunctionTestRunner(
            handler=handlers.steps, coordinator=address, invocation_timeout=600
        ) as runner,
        flooding(address, _SESSIONS, pid, token=HOST_TOKEN) as flood,
    ):
        made = Standing(runner, flood.ask, pid)
        made.flood()
        yield made


@row("checkpoints per second of one coordinator, against messages of bare gRPC", at_least=0.6)
def rate(bench: Bench) -> Measured:
    """The time of each, on one machine and in turns."""
    with standing() as ours, flooding("echo", _SESSIONS) as echo:
        turn = in_turns(
            lambda: _each(ours.flood()), lambda: _each(echo.ask(_CHECKPOINTS)), bench.turns * 3
        )
    return compared(*turn, inverse=True)


@row("the same, by the processor time of the server alone", at_least=0.35)
def server_time(bench: Bench) -> Measured:
    with standing() as ours, flooding("echo", _SESSIONS) as echo:
        turn = in_turns(
            lambda: _of_server(ours.flood()),
            lambda: _of_server(echo.ask(_CHECKPOINTS)),
            bench.turns * 3,
        )
    return compared(*turn, inverse=True)


def _each(flood: Flood) -> float:
    return flood.seconds / flood.checkpoints


def _of_server(flood: Flood) -> float:
    return flood.server / flood.checkpoints


def main(counts: list[int]) -> None:
    print(
        f"{'open':>8} {'MiB':>6} {'opened in s':>12} {'per s':>7} {'us each':>8} {'ms':>6}  longest"
    )
    with standing() as ours:
        for count in counts:
            began = time.perf_counter()
            ours.open_up_to(count)
            took = time.perf_counter() - began
            floods = [ours.flood() for _ in range(5)]
            print(
                f"{count:>8} {resident_kib(ours.pid) / 1024:>6.0f} {took:>12.1f} "
                f"{1 / median(map(_each, floods)):>7.0f} "
                f"{median(map(_of_server, floods)) * 1e6:>8.0f} "
                f"{median(flood.median for flood in floods) * 1e3:>6.1f}  "
                f"{median(flood.longest for flood in floods) * 1e3:.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]])
