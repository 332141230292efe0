"""A process that runs executions when it is told to, and says how long they took.

    python load.py RUNNER HANDLER

RUNNER is one of `RUNNERS`, HANDLER a function of `handlers.py` (of `official.py` for AWS's
runner). Each line of standard input is a JSON list, [EXECUTIONS, STEPS]; each answer is an
object with the seconds that they took, the seconds of processor time that this process and all
below it took for them, and the last result. The process ends with its standard input.

It is started with interpreters that have other revisions of this project, or none: only public
names are used here, and each runner imports what it needs itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

#: Runs so many executions of so many steps; their results, None for one that failed.
Run = Callable[[int, int], list[str | None]]

#: Seconds, for an execution of 10,000 steps on a machine under load.
_PATIENCE = 600
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def pool(handler: str) -> Iterator[Run]:
    """This project's runner, with two worker processes."""
    import handlers

    from async_durable_execution_runner import DurableFunctionTestRunner

    def run(executions: int, steps: int) -> list[str | None]:
        if executions == 1:
            return [runner.run(input={"steps": steps}, timeout=_PATIENCE).result]
        results = runner.run_many([{"steps": steps}] * executions, timeout=_PATIENCE)
        return [result.result for result in results]

    with DurableFunctionTestRunner(
        handler=getattr(handlers, handler), workers=2, invocation_timeout=_PATIENCE
    ) as runner:
        yield run


@contextmanager
def sdk(handler: str) -> Iterator[Run]:
    """The SDK's own local runner, one execution after another in a loop, its waits skipped."""
    import handlers
    from async_durable_execution import create_local_runner

    os.environ["DURABLE_EXECUTION_TIME_SCALE"] = "0"

    async def one(steps: int) -> str | None:
        async with create_local_runner(
            handler=getattr(handlers, handler),
            input={"steps": steps},
            poll_interval=0.001,
            timeout=_PATIENCE,
        ) as runner:
            return (await runner.run()).result

    async def all_of_them(executions: int, steps: int) -> list[str | None]:
        return [await one(steps) for _ in range(executions)]

    yield lambda executions, steps: asyncio.run(all_of_them(executions, steps))


@contextmanager
def aws(handler: str) -> Iterator[Run]:
    """AWS's own runner, one execution after another; it skips waits unless told otherwise."""
    import official
    from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner

    def one(steps: int) -> str | None:
        with DurableFunctionTestRunner(
            handler=getattr(official, handler), poll_interval=0.001
        ) as runner:
            return runner.run(input=json.dumps({"steps": steps})).result

    yield lambda executions, steps: [one(steps) for _ in range(executions)]


RUNNERS: dict[str, Callable[[str], AbstractContextManager[Run]]] = {
    "pool": pool,
    "sdk": sdk,
    "aws": aws,
}


def processor_seconds() -> float:
    """What this process and all below it have used, and those that they have reaped."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        # utime, stime, and both of the children that it has waited for.
        used[pid] = sum(map(int, fields[11:15]))
    tree = [os.getpid()]
    for each in tree:
        tree += [pid for pid, parent in parents.items() if parent == each]
    return sum(used[pid] for pid in tree) / _TICKS


def main(runner: str, handler: str) -> None:
    with RUNNERS[runner](handler) as run:
        for line in sys.stdin:
            executions, steps = json.loads(line)
            used = processor_seconds()
            began = time.perf_counter()
            results = run(executions, steps)
            seconds = time.perf_counter() - began
            used = processor_seconds() - used
            assert len(results) == executions
            assert None not in results, "an execution failed"
            answer = {"seconds": seconds, "processor": used, "result": results[-1]}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
